//! Signals reach those who listen.

use chrono::DateTime;
use futures::StreamExt;
use lockstep_domain::{IntegrationId, OrganizationId, RunPhase, RunState};
use lockstep_queue::{Queue, Signal};
use tokio::time::timeout;
use uuid::Uuid;

use crate::fixture::{PATIENCE, Redis, run_id, test_id};

pub(crate) fn integration() -> Signal {
    Signal::Integration {
        organization_id: OrganizationId(Uuid::new_v4()),
        integration_id: IntegrationId(Uuid::new_v4()),
    }
}

fn run(sequence: i64) -> Signal {
    Signal::Run {
        organization_id: OrganizationId(Uuid::nil()),
        integration_id: IntegrationId(Uuid::nil()),
        run_id: run_id(),
        sequence,
        state: RunState::Running,
        phase: RunPhase::ReadingUsers,
        processed: 999,
        total: None,
        percent: Some(2),
        at: DateTime::from_timestamp(1_800_000_000, 123_456_000).unwrap(),
    }
}

fn test() -> Signal {
    Signal::Test {
        organization_id: OrganizationId(Uuid::nil()),
        integration_id: IntegrationId(Uuid::nil()),
        test_id: test_id(),
    }
}

/// Everything that one side publishes reaches every listener of the other, in order and unchanged.
async fn signals_travel(from: &Queue, to: &Queue) {
    let (mut one, mut other) = (to.bus().subscribe(), to.bus().subscribe());
    let signals = [run(1), run(2), test(), integration()];
    for signal in &signals {
        from.bus().publish(signal).await;
    }
    for expected in &signals {
        for listener in [&mut one, &mut other] {
            let heard = timeout(PATIENCE, listener.next()).await.unwrap();
            assert_eq!(heard.as_ref(), Some(expected));
        }
    }
}

#[tokio::test]
async fn signals_travel_within_the_process() {
    let queue = Queue::in_process();
    signals_travel(&queue, &queue.clone()).await;
}

#[tokio::test]
async fn signals_travel_from_one_connection_to_another() {
    let redis = Redis::start().await;
    let (one, other) = (redis.queue().await, redis.queue().await);
    signals_travel(&one, &other).await;
    signals_travel(&other, &other).await;
}

#[tokio::test]
async fn what_is_not_understood_is_passed_over() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let mut signals = queue.bus().subscribe();
    for text in ["not JSON", r#"{"type":"Moon","phase":3}"#] {
        let heard: i64 = redis.ask(&["PUBLISH", "lockstep:signals", text]).await;
        assert_eq!(heard, 1);
    }
    let signal = integration();
    queue.bus().publish(&signal).await;
    let heard = timeout(PATIENCE, signals.next()).await.unwrap();
    assert_eq!(heard, Some(signal));
}

#[tokio::test]
async fn slow_listener_misses_signals_and_goes_on() {
    let queue = Queue::in_process();
    let mut signals = queue.bus().subscribe();
    for sequence in 0..5_000 {
        queue.bus().publish(&run(sequence)).await;
    }
    let mut heard = Vec::new();
    while heard.last() != Some(&4_999) {
        match timeout(PATIENCE, signals.next()).await.unwrap() {
            Some(Signal::Run { sequence, .. }) => heard.push(sequence),
            other => panic!("{other:?} was not sent"),
        }
    }
    assert!(heard.len() < 5_000);
    assert!(heard.is_sorted());
}

#[tokio::test]
async fn publishing_without_a_listener_is_fine() {
    Queue::in_process().bus().publish(&integration()).await;
}

#[tokio::test]
async fn stream_ends_with_the_bus() {
    let queue = Queue::in_process();
    let mut signals = queue.bus().subscribe();
    drop(queue);
    assert_eq!(signals.next().await, None);
}
