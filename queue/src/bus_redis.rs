//! The bus over Redis: `PUBLISH` on the way out, one subscribed connection for the whole process on the way in.
//!
//! The subscribed connection is its own: on it silence is normal, while on the other connections silence is an
//! error. A ping tells a quiet connection from a dead one.

use std::time::Duration;

use futures::StreamExt;
use redis::aio::PubSub;
use redis::{Client, Msg, RedisError, RedisResult, Value};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::bus::Signal;
use crate::error::QueueError;
use crate::link::{Link, Wait};

/// The one channel of Redis; whom a signal is for stands in the signal.
const CHANNEL: &str = "lockstep:signals";

/// How long opening the subscription and a ping may take, and how often the ping is sent: a dead connection is
/// found within twice this, below the promised 15 seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends what is posted, in order, until the bus is gone.
pub(crate) async fn send(mut link: Link, mut posts: mpsc::Receiver<String>) {
    while let Some(text) = posts.recv().await {
        let sent: RedisResult<()> = redis::cmd("PUBLISH")
            .arg(CHANNEL)
            .arg(text)
            .query_async(&mut link)
            .await;
        if let Err(error) = sent {
            tracing::debug!(%error, "A signal could not be sent");
        }
    }
}

/// Subscribes, and then hands every signal to `fan` until the handle is dropped.
pub(crate) async fn listen(
    client: Client,
    fan: broadcast::Sender<Signal>,
) -> Result<AbortOnDropHandle<()>, QueueError> {
    let first = subscribe(&client)
        .await
        .map_err(|source| QueueError::Unreachable {
            address: client.get_connection_info().addr().to_string(),
            source,
        })?;
    Ok(AbortOnDropHandle::new(tokio::spawn(keep_listening(
        client, first, fan,
    ))))
}

async fn keep_listening(client: Client, first: PubSub, fan: broadcast::Sender<Signal>) {
    let mut subscription = first;
    loop {
        forward(subscription, &fan).await;
        tracing::debug!("The subscription of the bus broke off");
        subscription = subscribe_again(&client).await;
        tracing::debug!("The bus is subscribed again");
    }
}

async fn subscribe_again(client: &Client) -> PubSub {
    let mut wait = Wait::for_ever();
    loop {
        match subscribe(client).await {
            Ok(subscription) => return subscription,
            Err(error) => tracing::debug!(%error, "The bus could not subscribe"),
        }
        wait.again().await;
    }
}

async fn subscribe(client: &Client) -> RedisResult<PubSub> {
    let opened = timeout(PATIENCE, async {
        let mut subscription = client.get_async_pubsub().await?;
        subscription.subscribe(CHANNEL).await?;
        Ok(subscription)
    });
    opened.await.unwrap_or_else(|_| {
        let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
        Err(RedisError::from(late))
    })
}

/// Hands on what comes until the connection breaks.
async fn forward(subscription: PubSub, fan: &broadcast::Sender<Signal>) {
    let (mut commands, mut messages) = subscription.split();
    let mut ping = interval(PATIENCE);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = messages.next() => match message {
                Some(message) => hand_on(&message, fan),
                None => return,
            },
            _ = ping.tick() => {
                let answer = timeout(PATIENCE, commands.ping::<Value>()).await;
                if !matches!(answer, Ok(Ok(_))) {
                    return;
                }
            }
        }
    }
}

fn hand_on(message: &Msg, fan: &broadcast::Sender<Signal>) {
    match serde_json::from_slice(message.get_payload_bytes()) {
        // Fails only when nobody listens.
        Ok(signal) => drop(fan.send(signal)),
        // A newer version may send kinds that are not known here.
        Err(error) => tracing::debug!(%error, "A signal was not understood and is passed over"),
    }
}
