// Follows a run with graphql-ws or graphql-sse: follow.mjs CLIENT ADDRESS TOKEN RUN.

const [client, url, token, run] = process.argv.slice(2);
const query = `subscription Follow($run: ID!) { runProgress(runId: $run) { __typename run { state } } }`;
const authorization = `Bearer ${token}`;

const clients = {
  async 'graphql-ws'() {
    const [{ createClient }, { WebSocket }] = await Promise.all([import('graphql-ws'), import('ws')]);
    return createClient({
      url,
      webSocketImpl: WebSocket,
      retryAttempts: 0,
      connectionParams: { Authorization: authorization },
    });
  },
  async 'graphql-sse'() {
    const { createClient } = await import('graphql-sse');
    return createClient({ url, retryAttempts: 0, headers: { authorization } });
  },
};

const opened = await clients[client]();
for await (const { data, errors } of opened.iterate({ query, variables: { run } })) {
  if (errors) throw new Error(JSON.stringify(errors));
  console.log(data.runProgress.__typename, data.runProgress.run.state);
}
opened.dispose();
