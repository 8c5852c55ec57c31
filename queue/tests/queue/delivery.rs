//! Wake-ups reach the handler.

use std::time::Duration;

use lockstep_queue::{Queue, QueueError};
use tokio::time::Instant;

use crate::fixture::{Given, PATIENCE, Recorder, Redis, Worker, run_id, test_id, until};

/// The same test body for both backends: `$queue` is the queue, `$redis` keeps the server alive.
macro_rules! on_both_backends {
    ($($name:ident)+) => {
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&super::Queue::in_process()).await;
            })+
        }

        mod over_redis {
            $(#[tokio::test]
            async fn $name() {
                let redis = super::Redis::start().await;
                super::$name(&redis.queue().await).await;
            })+
        }
    };
}

on_both_backends! {
    what_is_sent_is_handed_over
    what_was_sent_before_the_start_is_handed_over
    doubled_wake_ups_are_handed_over_and_harm_nothing
    panic_ends_its_job_and_not_the_worker
    test_is_served_while_every_run_slot_is_busy
    no_more_runs_than_slots_at_the_same_time
    shutdown_waits_for_what_runs_and_takes_nothing_new
    many_senders_at_once_lose_nothing
}

async fn what_is_sent_is_handed_over(queue: &Queue) {
    let handler = Recorder::free();
    let worker = Worker::start(queue, &handler, 2);
    let (run, test) = (run_id(), test_id());
    queue.ping().await.unwrap();
    queue.wake_run(run).await.unwrap();
    handler.hears(Given::Ended(run)).await;
    queue.wake_test(test).await.unwrap();
    handler.hears(Given::Test(test)).await;
    worker.stop().await.unwrap();
}

async fn what_was_sent_before_the_start_is_handed_over(queue: &Queue) {
    let run = run_id();
    queue.wake_run(run).await.unwrap();
    let handler = Recorder::free();
    let worker = Worker::start(queue, &handler, 1);
    handler.hears(Given::Ended(run)).await;
    worker.stop().await.unwrap();

    let later = run_id();
    queue.wake_run(later).await.unwrap();
    let worker = Worker::start(queue, &handler, 1);
    handler.hears(Given::Ended(later)).await;
    worker.stop().await.unwrap();
}

async fn doubled_wake_ups_are_handed_over_and_harm_nothing(queue: &Queue) {
    let handler = Recorder::free();
    let worker = Worker::start(queue, &handler, 2);
    let run = run_id();
    for _ in 0..3 {
        queue.wake_run(run).await.unwrap();
    }
    for _ in 0..3 {
        handler.hears(Given::Ended(run)).await;
    }
    worker.stop().await.unwrap();
}

async fn panic_ends_its_job_and_not_the_worker(queue: &Queue) {
    let (poison, sound) = (run_id(), run_id());
    let handler = Recorder::panicking_at(poison);
    let worker = Worker::start(queue, &handler, 1);
    queue.wake_run(poison).await.unwrap();
    handler.hears(Given::Run(poison)).await;
    queue.wake_run(sound).await.unwrap();
    handler.hears(Given::Ended(sound)).await;
    worker.stop().await.unwrap();
}

async fn test_is_served_while_every_run_slot_is_busy(queue: &Queue) {
    let handler = Recorder::holding();
    let worker = Worker::start(queue, &handler, 1);
    let (busy, waiting, test) = (run_id(), run_id(), test_id());
    queue.wake_run(busy).await.unwrap();
    handler.hears(Given::Run(busy)).await;
    queue.wake_run(waiting).await.unwrap();
    queue.wake_test(test).await.unwrap();
    assert_eq!(handler.next().await, Given::Test(test));
    handler.let_go(2);
    handler.hears(Given::Ended(waiting)).await;
    worker.stop().await.unwrap();
}

async fn no_more_runs_than_slots_at_the_same_time(queue: &Queue) {
    let handler = Recorder::holding();
    let worker = Worker::start(queue, &handler, 2);
    for _ in 0..4 {
        queue.wake_run(run_id()).await.unwrap();
    }
    for _ in 0..2 {
        assert!(matches!(handler.next().await, Given::Run(_)));
    }
    // The third begins only after one of the first two has ended.
    handler.let_go(1);
    assert!(matches!(handler.next().await, Given::Ended(_)));
    assert!(matches!(handler.next().await, Given::Run(_)));
    handler.let_go(3);
    worker.stop().await.unwrap();
}

async fn shutdown_waits_for_what_runs_and_takes_nothing_new(queue: &Queue) {
    let handler = Recorder::holding();
    let worker = Worker::start(queue, &handler, 1);
    let (running, waiting) = (run_id(), run_id());
    queue.wake_run(running).await.unwrap();
    handler.hears(Given::Run(running)).await;
    queue.wake_run(waiting).await.unwrap();
    worker.shutdown.cancel();
    assert!(!worker.ended.is_finished());
    handler.let_go(1);
    assert_eq!(handler.next().await, Given::Ended(running));
    worker.stop().await.unwrap();

    let handler = Recorder::free();
    let next = Worker::start(queue, &handler, 1);
    assert_eq!(handler.next().await, Given::Run(waiting));
    next.stop().await.unwrap();
}

async fn many_senders_at_once_lose_nothing(queue: &Queue) {
    let handler = Recorder::free();
    let worker = Worker::start(queue, &handler, 8);
    let senders: Vec<_> = (0..50)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.wake_run(run_id()).await })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap().unwrap();
    }
    let mut ended = 0;
    while ended < 50 {
        ended += usize::from(matches!(handler.next().await, Given::Ended(_)));
    }
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn memory_is_chosen_by_its_scheme() {
    for url in ["memory:", "in-process:", "memory://"] {
        assert!(Queue::connect(url).await.unwrap().is_in_process());
    }
    let redis = Redis::start().await;
    assert!(!redis.queue().await.is_in_process());
}

#[tokio::test]
async fn bad_address_is_refused_without_repeating_it() {
    for url in [
        "",
        "amqp://guest:hunter2@host",
        "redis://:hunter2@host:port",
        "memory:hunter2",
        "hunter2",
    ] {
        let error = Queue::connect(url).await.unwrap_err();
        assert!(matches!(error, QueueError::Address { .. }), "{url}");
        assert!(error.to_string().contains("LOCKSTEP_QUEUE_URL"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn redis_that_is_not_there_is_named_without_the_password() {
    for scheme in ["redis", "rediss"] {
        let url = format!("{scheme}://user:hunter2@127.0.0.1:1");
        let error = Queue::connect(&url).await.unwrap_err();
        assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
        assert!(error.to_string().contains("LOCKSTEP_QUEUE_URL"));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn killed_worker_gives_its_job_to_the_next_one() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let (run, holding) = (run_id(), Recorder::holding());
    let killed = Worker::start(&queue, &holding, 1);
    queue.wake_run(run).await.unwrap();
    holding.hears(Given::Run(run)).await;
    killed.kill().await;

    let free = Recorder::free();
    let next = Worker::start(&queue, &free, 1);
    free.hears(Given::Ended(run)).await;
    next.stop().await.unwrap();
}

/// In memory the wake-up is gone with the worker that had taken it; the scheduler sends it again.
#[tokio::test]
async fn killed_worker_in_the_process_leaves_what_it_had_not_taken() {
    let queue = Queue::in_process();
    let (taken, left, holding) = (run_id(), run_id(), Recorder::holding());
    let killed = Worker::start(&queue, &holding, 1);
    queue.wake_run(taken).await.unwrap();
    holding.hears(Given::Run(taken)).await;
    queue.wake_run(left).await.unwrap();
    killed.kill().await;

    let free = Recorder::free();
    let next = Worker::start(&queue, &free, 1);
    assert_eq!(free.next().await, Given::Run(left));
    next.stop().await.unwrap();
}

#[tokio::test]
async fn grace_time_ends_handlers_that_do_not_end() {
    let queue = Queue::in_process();
    let handler = Recorder::holding();
    let run = run_id();
    queue.wake_run(run).await.unwrap();
    let shutdown = tokio_util::sync::CancellationToken::new();
    let options = lockstep_queue::WorkOptions {
        name: "test".to_owned(),
        run_concurrency: 1,
        test_concurrency: 1,
        poll: Duration::from_millis(50),
        heartbeat: Duration::from_secs(1),
        grace: Duration::from_millis(100),
    };
    let work = lockstep_queue::work(&queue, handler.clone(), options, shutdown.clone());
    let told = async {
        handler.hears(Given::Run(run)).await;
        shutdown.cancel();
    };
    let (ended, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(work, told) })
        .await
        .unwrap();
    ended.unwrap();
}

#[tokio::test]
async fn unknown_formats_in_the_queue_are_dropped_and_the_next_job_comes() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    for (id, payload) in [("1", "not JSON"), ("2", r#"{"v":99,"x":1}"#), ("3", "7")] {
        let _: i64 = redis
            .ask(&["HSET", "lockstep:runs:data", id, payload])
            .await;
        let meta = format!("lockstep:runs:meta:{id}");
        let fields = ["attempts", "0", "max_attempts", "5", "status", "Pending"];
        let _: i64 = redis.ask(&[&["HSET", &meta][..], &fields].concat()).await;
        let _: i64 = redis.ask(&["RPUSH", "lockstep:runs:active", id]).await;
    }
    let handler = Recorder::free();
    let worker = Worker::start(&queue, &handler, 1);
    let run = run_id();
    queue.wake_run(run).await.unwrap();
    assert_eq!(handler.next().await, Given::Run(run));
    worker.stop().await.unwrap();
}

/// apalis fails on a job without data or with broken data, and its worker with it.
#[tokio::test]
async fn jobs_that_cannot_be_read_are_dropped_after_some_lives() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let _: i64 = redis
        .ask(&["RPUSH", "lockstep:runs:active", "no-data", "no-meta"])
        .await;
    let _: i64 = redis
        .ask(&["HSET", "lockstep:runs:data", "no-meta", "{}"])
        .await;
    let run = run_id();
    queue.wake_run(run).await.unwrap();
    let handler = Recorder::free();
    let worker = Worker::start(&queue, &handler, 1);
    handler.hears(Given::Ended(run)).await;
    until(async || {
        let active: i64 = redis.ask(&["LLEN", "lockstep:runs:active"]).await;
        let data: bool = redis
            .ask(&["HEXISTS", "lockstep:runs:data", "no-meta"])
            .await;
        active == 0 && !data
    })
    .await;
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_waiting_jobs_do_not_jam_the_queue() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    for _ in 0..10_000 {
        queue.wake_run(run_id()).await.unwrap();
    }
    let handler = Recorder::free();
    let begin = Instant::now();
    let worker = Worker::start(&queue, &handler, 4);
    handler.next().await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn done_jobs_leave_nothing_in_redis() {
    let redis = Redis::start().await;
    let queue = redis.queue().await;
    let handler = Recorder::free();
    let worker = Worker::start(&queue, &handler, 4);
    let runs: Vec<_> = (0..20).map(|_| run_id()).collect();
    for run in &runs {
        queue.wake_run(*run).await.unwrap();
    }
    let mut ended = 0;
    while ended < runs.len() {
        ended += usize::from(matches!(handler.next().await, Given::Ended(_)));
    }
    worker.stop().await.unwrap();

    // A worker sweeps soon after its start.
    let worker = Worker::start(&queue, &handler, 4);
    until(async || {
        let done: bool = redis.ask(&["EXISTS", "lockstep:runs:done"]).await;
        !done
    })
    .await;
    worker.stop().await.unwrap();
    let left: Vec<String> = redis.ask(&["KEYS", "lockstep:runs:*"]).await;
    assert_eq!(left, Vec::<String>::new());
}
