use super::*;
use crate::wait::PATIENCE;

/// A client that says lines and returns the code of the last reply to each.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    async fn connect(server: &SmtpServer) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port))
            .await
            .unwrap();
        let mut client = Self {
            stream: BufReader::new(stream),
        };
        assert_eq!(client.reply().await, "220");
        client
    }

    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).await.unwrap();
            if line.get(3..4) != Some("-") {
                return line.chars().take(3).collect();
            }
        }
    }

    async fn say(&mut self, text: &str) -> String {
        let text = format!("{text}\r\n");
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn say_all(&mut self, lines: &[&str]) -> Vec<String> {
        let mut replies = Vec::new();
        for line in lines {
            replies.push(self.say(line).await);
        }
        replies
    }
}

#[tokio::test]
async fn message_is_kept_with_its_envelope_and_without_dot_stuffing() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    let replies = client
        .say_all(&[
            "EHLO client",
            "MAIL FROM:<a@example.org> SIZE=30",
            "RCPT TO:<b@example.org>",
            "RCPT TO:<c@example.org>",
            "DATA",
            "Subject: Hi\r\n\r\n..dotted\r\nend\r\n.",
            "QUIT",
        ])
        .await;
    assert_eq!(replies, ["250", "250", "250", "250", "354", "250", "221"]);
    let messages = server.wait_for(1, PATIENCE).await.unwrap();
    let expected = ReceivedMail {
        from: "a@example.org".to_owned(),
        to: vec!["b@example.org".to_owned(), "c@example.org".to_owned()],
        source: b"Subject: Hi\r\n\r\n.dotted\r\nend\r\n".to_vec(),
    };
    assert_eq!(messages, [expected]);
}

#[tokio::test]
async fn recipients_are_rejected_and_deferred_on_request() {
    let server = SmtpServer::start().await.unwrap();
    server.set_verdict("gone@example.org", Verdict::Reject);
    server.set_verdict("here@example.org", Verdict::Accept);
    server.set_verdict_for_others(Verdict::Defer);
    let mut client = Client::connect(&server).await;
    let replies = client
        .say_all(&[
            "EHLO client",
            "MAIL FROM:<a@example.org>",
            "RCPT TO:<Gone@example.org>",
            "RCPT TO:<later@example.org>",
            "DATA",
            "RCPT TO:<here@example.org>",
        ])
        .await;
    assert_eq!(replies, ["250", "250", "550", "451", "503", "250"]);
}

#[tokio::test]
async fn reset_forgets_the_envelope() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    let replies = client
        .say_all(&[
            "EHLO client",
            "MAIL FROM:<>",
            "RCPT TO:<b@example.org>",
            "NOOP",
            "RSET",
            "DATA",
            "RCPT TO:<b@example.org>",
            "VRFY b",
        ])
        .await;
    assert_eq!(
        replies,
        ["250", "250", "250", "250", "250", "503", "503", "502"]
    );
}

#[tokio::test]
async fn message_that_is_too_large_is_refused_and_the_next_one_taken() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    let large = "line of a large message\r\n".repeat(MAX_MESSAGE / 25 + 1);
    let envelope = [
        "MAIL FROM:<a@example.org>",
        "RCPT TO:<b@example.org>",
        "DATA",
    ];

    client.say_all(&envelope).await;
    assert_eq!(client.say(&format!("{large}.")).await, "552");
    client.say_all(&envelope).await;
    assert_eq!(client.say("small\r\n.").await, "250");

    assert_eq!(server.messages().len(), 1);
    assert_eq!(client.say("MAIL FROM:<a@b.org> SIZE=2000000").await, "552");
}

#[tokio::test]
async fn line_that_is_too_long_ends_the_conversation() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::connect(&server).await;
    let line = "x".repeat(20 * 1024);
    client.stream.write_all(line.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let end = client.stream.read_to_end(&mut rest).await;
    assert!(end.is_err() || rest.is_empty());
}

#[test]
fn subject_text_and_headers_are_decoded() {
    let source = "From: a@example.org\r\n\
                  Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\n\
                  Content-Type: text/plain; charset=utf-8\r\n\
                  Content-Transfer-Encoding: quoted-printable\r\n\
                  \r\n\
                  Sch=C3=B6n, dass du da bist\r\n";
    let mail = ReceivedMail {
        from: String::new(),
        to: Vec::new(),
        source: source.as_bytes().to_vec(),
    };
    assert_eq!(mail.subject().unwrap(), "Grüße");
    assert_eq!(mail.text().unwrap().trim_end(), "Schön, dass du da bist");
    assert_eq!(mail.header("From").unwrap(), "a@example.org");
    assert_eq!(mail.header("Reply-To"), None);
}
