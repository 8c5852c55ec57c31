//! What apalis leaves lying about in Redis.
//!
//! It never deletes a job that is done, it hands on what was posted with a Lua call that fails from 8,000 jobs on,
//! and what a failed worker held comes back only after its orphan time, if it can be read at all. The names of the
//! keys come from its configuration; their meaning is covered by the tests against a real Redis.

use std::sync::LazyLock;

use apalis::prelude::WorkerContext;
use redis::{RedisResult, Script};

use crate::backend::RedisQueue;

/// Jobs that are handled in one command: some hundred microseconds of Redis' time.
const BATCH: usize = 500;

/// Batches of one round, so that a round ends. At a round every 30 seconds this clears 300 jobs a second, and more
/// than that is left for quieter times.
const BATCHES: usize = 20;

/// How long the description of a worker is kept after its last sign of life, in seconds.
const DESCRIPTION_TTL: i64 = 3600;

/// How often a job may be given back before it counts as the reason why its workers fail.
const LIVES: usize = 3;

/// Moves jobs to where workers look: 1 the posted ones, 2 the list of the workers.
static PROMOTE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local ids = redis.call('zrange', KEYS[1], 0, ARGV[1] - 1) \
         if #ids > 0 then \
           redis.call('rpush', KEYS[2], unpack(ids)) \
           redis.call('zrem', KEYS[1], unpack(ids)) \
         end \
         return #ids",
    )
});

/// Gives back what a worker held and forgets the worker; returns how many jobs were dropped: 1 the jobs in its
/// hands, 2 the list of the workers, 3 the payloads, 4 the living workers, 5 the description of the worker.
static GIVE_BACK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local dropped = 0 \
         for _, id in ipairs(redis.call('smembers', KEYS[1])) do \
           local meta = ARGV[2] .. ':' .. id \
           local given = redis.call('hincrby', meta, 'given_back', 1) \
           if given > tonumber(ARGV[3]) or redis.call('hexists', KEYS[3], id) == 0 then \
             redis.call('hdel', KEYS[3], id) \
             redis.call('del', meta) \
             dropped = dropped + 1 \
           else \
             redis.call('rpush', KEYS[2], id) \
           end \
         end \
         redis.call('del', KEYS[1], KEYS[5]) \
         redis.call('zrem', KEYS[4], ARGV[1]) \
         return dropped",
    )
});

/// Makes the posted jobs visible to the workers. apalis does this with every fetch, but in one call for all of them,
/// which fails when they are too many, and by comparing the clocks of two machines.
pub(crate) async fn promote(queue: &RedisQueue) -> RedisResult<()> {
    let config = queue.config();
    let mut link = queue.steady.clone();
    loop {
        let moved: usize = PROMOTE
            .key(config.scheduled_jobs_set())
            .key(config.active_jobs_list())
            .arg(BATCH)
            .invoke_async(&mut link)
            .await?;
        if moved < BATCH {
            return Ok(());
        }
    }
}

/// Gives back at once what a worker that has ended still held. Jobs that come back again and again are dropped,
/// because one that cannot even be read would end worker after worker.
pub(crate) async fn give_back(queue: &RedisQueue, worker: &str) -> RedisResult<()> {
    let config = queue.config();
    let context = WorkerContext::new(worker);
    let dropped: usize = GIVE_BACK
        .key(config.inflight_set_for(&context))
        .key(config.active_jobs_list())
        .key(config.job_data_hash())
        .key(config.workers_set())
        .key(config.worker_metadata_key(&context))
        .arg(worker)
        .arg(config.job_meta_hash())
        .arg(LIVES)
        .invoke_async(&mut queue.steady.clone())
        .await?;
    if dropped > 0 {
        tracing::warn!(
            dropped,
            "Dropped wake-ups on which workers fail; the scheduler sends them again"
        );
    }
    Ok(())
}

/// Lets the description of a worker vanish some time after the worker.
pub(crate) async fn keep_description(queue: &RedisQueue, worker: &str) -> RedisResult<()> {
    let key = queue
        .config()
        .worker_metadata_key(&WorkerContext::new(worker));
    redis::cmd("EXPIRE")
        .arg(key)
        .arg(DESCRIPTION_TTL)
        .query_async(&mut queue.steady.clone())
        .await
}

/// Deletes jobs that are done. Safe to run in several processes at the same time.
pub(crate) async fn sweep(queue: &RedisQueue) -> RedisResult<()> {
    let config = queue.config();
    for ended in [config.done_jobs_set(), config.dead_jobs_set()] {
        for _ in 0..BATCHES {
            if sweep_batch(queue, &ended).await? < BATCH {
                break;
            }
        }
    }
    Ok(())
}

async fn sweep_batch(queue: &RedisQueue, ended: &str) -> RedisResult<usize> {
    let config = queue.config();
    let mut link = queue.steady.clone();
    let ids: Vec<String> = redis::cmd("SRANDMEMBER")
        .arg(ended)
        .arg(BATCH)
        .query_async(&mut link)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let meta = config.job_meta_hash();
    let metas: Vec<String> = ids.iter().map(|id| format!("{meta}:{id}")).collect();
    // The set last: whatever a crash leaves undone is found by the next round.
    redis::pipe()
        .hdel(config.job_data_hash(), &ids)
        .unlink(metas)
        .srem(ended, &ids)
        .exec_async(&mut link)
        .await?;
    Ok(ids.len())
}
