//! Owns which shard a game or a secret belongs to, and the way to run work there.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    rc::Rc,
};

use actix::Addr;
use tokio::sync::oneshot;

use super::{
    messages::RunOnShard,
    shard::{Local, Shard},
};
use crate::protocol::GameId;

/// Returns the shard that owns a game: the same one for the life of the process.
pub(crate) fn owner<'a>(shards: &'a [Addr<Shard>], game: &GameId) -> &'a Addr<Shard> {
    &shards[shard_index(game.as_str(), shards.len())]
}

/// Returns the index of the shard that owns this name or secret, of `shards` shards: the same one
/// for the life of the process.
pub(crate) fn shard_index(name: &str, shards: usize) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
    (hash % shards as u64) as usize
}

/// Runs `work` on a shard's thread. Returns `None` if the shard is gone or the work failed.
pub(crate) async fn on_shard<R: Send + 'static, F: Future<Output = R> + 'static>(
    shard: &Addr<Shard>,
    work: impl FnOnce(Rc<Local>) -> F + Send + 'static,
) -> Option<R> {
    let (answer, answered) = oneshot::channel();
    let adopt = RunOnShard(Box::new(move |local: &Rc<Local>| {
        let work = work(local.clone());
        actix_rt::spawn(async move {
            // The receiver may be gone.
            let _ = answer.send(work.await);
        });
    }));
    shard.send(adopt).await.ok()?;
    answered.await.ok()
}
