//! A mail server inside the test that keeps what it receives.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mail_parser::MessageParser;
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::SupportError;

/// The longest message, in bytes; it is announced to clients.
const MAX_MESSAGE: usize = 1024 * 1024;
/// The longest line, in bytes: more than RFC 5321 allows, far less than would hurt.
const MAX_LINE: u64 = 16 * 1024;
/// The most recipients of a message: what RFC 5321 demands at least.
const MAX_RECIPIENTS: usize = 100;
/// The most messages that are kept; the next one is refused.
const MAX_MESSAGES: usize = 10_000;
/// How long a client may be silent.
const MAX_SILENCE: Duration = Duration::from_secs(60);

/// What the server says to a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// 250: takes the message.
    #[default]
    Accept,
    /// 451: not now, try again later.
    Defer,
    /// 550: never.
    Reject,
}

impl Verdict {
    fn reply(self) -> &'static str {
        match self {
            Self::Accept => "250 2.1.5 recipient accepted",
            Self::Defer => "451 4.3.0 try again later",
            Self::Reject => "550 5.1.1 no such mailbox",
        }
    }
}

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The sender on the envelope.
    pub from: String,
    /// The recipients on the envelope.
    pub to: Vec<String>,
    /// The message as it was sent, with headers, lines ended by CRLF.
    pub source: Vec<u8>,
}

impl ReceivedMail {
    /// Returns the subject, decoded.
    pub fn subject(&self) -> Option<String> {
        let message = MessageParser::default().parse(&self.source)?;
        message.subject().map(str::to_owned)
    }

    /// Returns the plain text, decoded.
    pub fn text(&self) -> Option<String> {
        let message = MessageParser::default().parse(&self.source)?;
        message.body_text(0).map(|text| text.into_owned())
    }

    /// Returns the value of a header as it was sent.
    pub fn header(&self, name: &str) -> Option<String> {
        let message = MessageParser::default().parse(&self.source)?;
        message
            .header_raw(name)
            .map(|value| value.trim().to_owned())
    }
}

/// A mail server on a free port. Ends when it is dropped.
#[derive(Debug)]
pub struct SmtpServer {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl SmtpServer {
    /// Starts a server.
    pub async fn start() -> Result<Self, SupportError> {
        let operation = "listen for mails";
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .map_err(SupportError::io(operation))?;
        let address = listener.local_addr().map_err(SupportError::io(operation))?;
        let shared = Arc::new(Shared::default());
        Ok(Self {
            port: address.port(),
            accepting: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        })
    }

    /// Returns the address of the server: no encryption, no password.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Returns the messages received so far, the oldest first.
    pub fn messages(&self) -> Vec<ReceivedMail> {
        self.shared.messages.borrow().clone()
    }

    /// Returns the messages as soon as there are at least `count`.
    pub async fn wait_for(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<ReceivedMail>, SupportError> {
        let mut messages = self.shared.messages.subscribe();
        let waiting = messages.wait_for(|messages| messages.len() >= count);
        if let Ok(Ok(messages)) = timeout(within, waiting).await {
            return Ok(messages.clone());
        }
        Err(SupportError::Timeout {
            what: format!("receiving {count} mails"),
            within,
            seen: format!("{:?}", self.messages()),
        })
    }

    /// Decides what a recipient is told from now on.
    pub fn set_verdict(&self, recipient: &str, verdict: Verdict) {
        let mut verdicts = self.shared.verdicts();
        verdicts
            .by_recipient
            .insert(recipient.to_lowercase(), verdict);
    }

    /// Decides what recipients without a verdict of their own are told from now on.
    pub fn set_verdict_for_others(&self, verdict: Verdict) {
        self.shared.verdicts().otherwise = verdict;
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Debug, Default)]
struct Verdicts {
    by_recipient: HashMap<String, Verdict>,
    otherwise: Verdict,
}

/// What the server and its conversations share.
#[derive(Debug, Default)]
struct Shared {
    messages: watch::Sender<Vec<ReceivedMail>>,
    verdicts: Mutex<Verdicts>,
}

impl Shared {
    fn verdicts(&self) -> std::sync::MutexGuard<'_, Verdicts> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn verdict(&self, recipient: &str) -> Verdict {
        let verdicts = self.verdicts();
        let own = verdicts.by_recipient.get(&recipient.to_lowercase());
        own.copied().unwrap_or(verdicts.otherwise)
    }

    /// Keeps a message, unless there are too many.
    fn keep(&self, mail: ReceivedMail) -> bool {
        self.messages.send_if_modified(|messages| {
            let fits = messages.len() < MAX_MESSAGES;
            if fits {
                messages.push(mail);
            }
            fits
        })
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Conversations end with the server, because the set of tasks is dropped with this one.
    let mut conversations = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let conversation = Conversation::new(stream, Arc::clone(&shared));
        conversations.spawn(conversation.hold());
        while conversations.try_join_next().is_some() {}
    }
}

/// One connection of a client.
struct Conversation {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    shared: Arc<Shared>,
    from: Option<String>,
    to: Vec<String>,
}

impl Conversation {
    fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: BufReader::new(reader),
            writer,
            shared,
            from: None,
            to: Vec::new(),
        }
    }

    /// Talks until the client leaves, breaks a limit or falls silent.
    async fn hold(mut self) {
        // A client that breaks off has its own error to report.
        let _ = self.talk().await;
    }

    async fn talk(&mut self) -> io::Result<()> {
        self.say("220 lockstep-test ESMTP").await?;
        while let Some(line) = read_line(&mut self.reader).await? {
            let line = String::from_utf8_lossy(&line).into_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet().await?,
                "HELO" => self.say("250 lockstep-test").await?,
                "MAIL" => self.sender(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => self.reset().await?,
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => return self.say("221 2.0.0 bye").await,
                _ => self.say("502 5.5.1 unknown command").await?,
            }
        }
        Ok(())
    }

    async fn greet(&mut self) -> io::Result<()> {
        self.forget();
        let size = format!("250-SIZE {MAX_MESSAGE}");
        let lines = ["250-lockstep-test", &size, "250-8BITMIME", "250 SMTPUTF8"];
        self.say(&lines.join("\r\n")).await
    }

    async fn sender(&mut self, rest: &str) -> io::Result<()> {
        let Some((address, parameters)) = path(rest, "FROM:") else {
            return self.say("501 5.5.4 MAIL FROM:<address>").await;
        };
        if announced_size(parameters) > MAX_MESSAGE {
            return self.say("552 5.3.4 message too large").await;
        }
        self.forget();
        self.from = Some(address.to_owned());
        self.say("250 2.1.0 sender accepted").await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        let Some((address, _)) = path(rest, "TO:") else {
            return self.say("501 5.5.4 RCPT TO:<address>").await;
        };
        if self.to.len() == MAX_RECIPIENTS {
            return self.say("452 4.5.3 too many recipients").await;
        }
        let verdict = self.shared.verdict(address);
        if verdict == Verdict::Accept {
            self.to.push(address.to_owned());
        }
        self.say(verdict.reply()).await
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 5.5.1 RCPT first").await;
        }
        self.say("354 end with a line that holds only a dot")
            .await?;
        let source = read_message(&mut self.reader).await?;
        let reply = match source {
            None => "552 5.3.4 message too large",
            Some(source) => self.keep(source),
        };
        self.forget();
        self.say(reply).await
    }

    fn keep(&mut self, source: Vec<u8>) -> &'static str {
        let mail = ReceivedMail {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            source,
        };
        if self.shared.keep(mail) {
            "250 2.0.0 message accepted"
        } else {
            "452 4.3.1 mailbox full"
        }
    }

    async fn reset(&mut self) -> io::Result<()> {
        self.forget();
        self.say("250 2.0.0 ok").await
    }

    fn forget(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.writer
            .write_all(format!("{reply}\r\n").as_bytes())
            .await
    }
}

/// Returns the next line without its end; `None` when the client has left.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = reader.take(MAX_LINE);
    let reading = limited.read_until(b'\n', &mut line);
    timeout(MAX_SILENCE, reading).await??;
    if line.pop_if(|last| *last == b'\n').is_none() {
        // The end of the connection, or of our patience with the line.
        return match line.len() {
            0 => Ok(None),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(line))
}

/// Returns the message up to the line with only a dot; `None` when it is too large.
async fn read_message(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut message = Vec::new();
    let mut fits = true;
    loop {
        let line = read_line(reader).await?;
        let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
        if line == b"." {
            return Ok(fits.then_some(message));
        }
        // A line that begins with a dot was sent with a second one (RFC 5321, 4.5.2).
        let line = line.strip_prefix(b".").unwrap_or(&line);
        fits &= message.len() + line.len() + 2 <= MAX_MESSAGE;
        if fits {
            message.extend_from_slice(line);
            message.extend_from_slice(b"\r\n");
        }
    }
}

/// Splits `FROM:<address> parameters` into address and parameters.
fn path<'a>(text: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (found, rest) = text.split_at_checked(keyword.len())?;
    if !found.eq_ignore_ascii_case(keyword) {
        return None;
    }
    rest.trim_start().strip_prefix('<')?.split_once('>')
}

/// Returns the value of `SIZE=` among the parameters of MAIL; 0 without.
fn announced_size(parameters: &str) -> usize {
    let mut sizes = parameters
        .split_ascii_whitespace()
        .filter_map(|parameter| parameter.strip_prefix("SIZE="));
    sizes.next().and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
