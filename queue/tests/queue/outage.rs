//! Redis is emptied, full, away and back.

use std::time::Duration;

use futures::StreamExt;
use lockstep_queue::{Queue, Signal};
use tokio::time::{Instant, timeout};

use crate::fixture::{Given, PATIENCE, Recorder, Redis, Worker, run_id, until};

#[tokio::test]
async fn emptied_redis_takes_new_wake_ups_and_ends_no_handler() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::holding();
    let worker = Worker::start(&queue, &handler, 2);
    let (running, next) = (run_id(), run_id());
    queue.wake_run(running).await.unwrap();
    handler.hears(Given::Run(running)).await;

    let _: String = redis.ask(&["FLUSHALL"]).await;
    queue.wake_run(next).await.unwrap();
    let begin = Instant::now();
    handler.hears(Given::Run(next)).await;
    assert!(begin.elapsed() < Duration::from_secs(5));

    handler.let_go(2);
    handler.hears(Given::Ended(running)).await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn restarted_redis_brings_worker_and_bus_back() {
    let mut redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::holding();
    let worker = Worker::start(&queue, &handler, 2);
    let (running, next) = (run_id(), run_id());
    let mut signals = queue.bus().subscribe();
    queue.wake_run(running).await.unwrap();
    handler.hears(Given::Run(running)).await;

    redis.stop();
    let begin = Instant::now();
    assert!(queue.wake_run(next).await.is_err());
    assert!(queue.ping().await.is_err());
    assert!(begin.elapsed() < Duration::from_secs(2));
    redis.start_again().await;

    until(async || queue.wake_run(next).await.is_ok()).await;
    handler.hears(Given::Run(next)).await;
    handler.let_go(2);
    handler.hears(Given::Ended(running)).await;

    let signal = crate::bus::integration();
    until(async || {
        queue.bus().publish(&signal).await;
        let heard = timeout(Duration::from_millis(200), signals.next()).await;
        heard.is_ok_and(|heard| heard == Some(signal.clone()))
    })
    .await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn worker_outlives_an_outage_longer_than_its_patience() {
    let mut redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::holding();
    let worker = Worker::start(&queue, &handler, 2);
    let (running, next) = (run_id(), run_id());
    queue.wake_run(running).await.unwrap();
    handler.hears(Given::Run(running)).await;
    redis.stop();
    // Two heartbeats are the patience; the outage itself is what is tested here.
    tokio::time::sleep(Duration::from_secs(4)).await;
    handler.let_go(1);
    assert_eq!(handler.next().await, Given::Ended(running));
    redis.start_again().await;
    until(async || queue.wake_run(next).await.is_ok()).await;
    handler.hears(Given::Run(next)).await;
    handler.let_go(1);
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn shutdown_is_quick_while_redis_is_away() {
    let mut redis = Redis::start().await;
    let queue = redis.queue().await;
    let worker = Worker::start(&queue, &Recorder::free(), 1);
    redis.stop();
    let begin = Instant::now();
    worker.stop().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn full_redis_is_reported_and_recovers_alone() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::free();
    let worker = Worker::start(&queue, &handler, 1);
    let (first, refused, last) = (run_id(), run_id(), run_id());
    queue.wake_run(first).await.unwrap();
    handler.hears(Given::Ended(first)).await;

    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    assert!(queue.ping().await.is_err());
    assert!(queue.wake_run(refused).await.is_err());

    let _: String = redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    queue.ping().await.unwrap();
    queue.wake_run(last).await.unwrap();
    handler.hears(Given::Ended(last)).await;
    worker.stop().await.unwrap();
}

/// A server that takes connections and never says a word.
#[tokio::test]
async fn silent_server_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let connected = timeout(PATIENCE, Queue::connect(&url)).await.unwrap();
    assert!(connected.is_err());
}

/// A connection that stays open while nothing comes back: a frozen server, as a cut network would leave it.
#[cfg(unix)]
#[tokio::test]
async fn frozen_redis_is_noticed_within_a_second_and_left_when_it_thaws() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::free();
    let worker = Worker::start(&queue, &handler, 1);
    let mut signals = queue.bus().subscribe();
    queue.ping().await.unwrap();

    redis.signal("STOP");
    let begin = Instant::now();
    assert!(queue.wake_run(run_id()).await.is_err());
    assert!(begin.elapsed() < Duration::from_secs(1));
    let signal: Signal = crate::bus::integration();
    let begin = Instant::now();
    queue.bus().publish(&signal).await;
    assert!(begin.elapsed() < Duration::from_millis(100));
    redis.signal("CONT");

    let run = run_id();
    until(async || queue.wake_run(run).await.is_ok()).await;
    handler.hears(Given::Ended(run)).await;
    until(async || {
        queue.bus().publish(&signal).await;
        let heard = timeout(Duration::from_millis(200), signals.next()).await;
        heard.is_ok_and(|heard| heard == Some(signal.clone()))
    })
    .await;
    worker.stop().await.unwrap();
}
