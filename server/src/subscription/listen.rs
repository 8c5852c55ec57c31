//! Listening for signals, with a look at the rows that no signal can put off.

use futures::StreamExt as _;
use lockstep_queue::{Signal, SignalStream};
use tokio::time::{Instant, timeout_at};

use super::SILENCE;

/// What there is to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News<T> {
    /// A signal that was meant.
    Meant(T),
    /// It is time to look at the rows and at the watcher, whatever was heard meanwhile.
    Look,
    /// No signal will come any more.
    End,
}

/// The signals of one subscriber.
pub(super) struct Listener {
    signals: SignalStream,
    /// When the rows are looked at next. Only a look moves it: signals of others are heard by everyone, and on a busy
    /// installation there is never a silence.
    look_at: Instant,
}

impl Listener {
    pub(super) fn new(signals: SignalStream) -> Self {
        Self {
            signals,
            look_at: Instant::now() + SILENCE,
        }
    }

    /// Waits for a signal that `meant` makes something of, or for the time of the next look.
    pub(super) async fn next<T>(&mut self, meant: impl Fn(&Signal) -> Option<T>) -> News<T> {
        // Compared each time, because signals that are there already would keep a timer from being looked at.
        while Instant::now() < self.look_at {
            match timeout_at(self.look_at, self.signals.next()).await {
                Ok(Some(signal)) => {
                    if let Some(meant) = meant(&signal) {
                        return News::Meant(meant);
                    }
                }
                Ok(None) => return News::End,
                Err(_) => break,
            }
        }
        self.looked();
        News::Look
    }

    /// Says that the rows were looked at just now.
    pub(super) fn looked(&mut self) {
        self.look_at = Instant::now() + SILENCE;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lockstep_domain::{IntegrationId, OrganizationId};
    use lockstep_queue::Queue;
    use uuid::Uuid;

    use super::*;

    fn foreign() -> Signal {
        Signal::Integration {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            integration_id: IntegrationId(Uuid::from_u128(2)),
        }
    }

    fn nothing(_: &Signal) -> Option<()> {
        None
    }

    #[tokio::test]
    async fn d89_a_look_comes_however_much_others_have_to_say() {
        let queue = Queue::in_process();
        let bus = queue.bus();
        let mut listener = Listener::new(bus.subscribe());
        let mut often = tokio::time::interval(Duration::from_millis(50));
        let others = async {
            loop {
                often.tick().await;
                bus.publish(&foreign()).await;
            }
        };
        let looks = async {
            assert_eq!(listener.next(nothing).await, News::Look);
            assert_eq!(listener.next(nothing).await, News::Look);
        };
        tokio::select! {
            () = looks => {}
            () = others => unreachable!("they never end"),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("there was no look in a minute"),
        }
    }
}
