//! Owns the HTTP API for back ends and operators (section 8, E1): lists, shows, writes to and
//! closes rooms. A change is stored before it is answered.

mod ask;
mod hubs;

use actix::Addr;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use slog::info;

use self::ask::{ApiError, ask, body, guard, guard_game, idempotency_key, number, query_text};
use super::{
    answer::{read, resource},
    routes::Site,
};
use crate::{
    protocol::{
        EventRequest, GameId, MAX_RECIPIENTS, RawJson,
        api::{parse_event, parse_kick},
        ids::MAX_ID_BYTES,
    },
    registry::{Shard, messages::ListRooms, requests::on_shard},
    room::{BodyHash, IdempotencyKey, RoomDescription, RoomHandle, describe::RoomSummary, messages::Append},
};

/// Most rooms in one response, and the default of `limit`.
const MAX_GAMES: u64 = 10_000;
const DEFAULT_GAMES: u64 = 1000;
/// Most events in one response, also the default of `limit`.
const MAX_EVENTS: u64 = 1000;
/// Bytes of a body besides `data` or `patch`: the field names, and the players in `to`.
const ENVELOPE_BYTES: usize = 1024 + MAX_RECIPIENTS * (MAX_ID_BYTES + 8);

type ApiResult = Result<HttpResponse, ApiError>;

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(resource("/api/games", "GET, HEAD").route(read().to(list)))
        .service(
            resource("/api/games/{game}", "GET, HEAD, DELETE").route(read().to(show)).route(web::delete().to(close)),
        )
        .service(
            resource("/api/games/{game}/events", "GET, HEAD, POST")
                .route(read().to(events))
                .route(web::post().to(append)),
        )
        .service(resource("/api/games/{game}/kick", "POST").route(web::post().to(kick)))
        .configure(hubs::configure);
}

#[derive(Serialize)]
struct GameList {
    games: Vec<RoomDescription<RoomSummary<usize>>>,
    /// The `after` of the next request; `null` at the end.
    next: Option<GameId>,
}

async fn list(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    guard(&site, &request).await?;
    let after = query_text(&request, "after").filter(|after| !after.is_empty());
    let after = after.map(|after| GameId::parse(&after).map_err(|_| ApiError::field("after is a game's name")));
    let limit = number(&request, "limit", 1, MAX_GAMES)?.unwrap_or(DEFAULT_GAMES) as usize;
    let page = site.admission.registry.send(ListRooms { after: after.transpose()?, limit }).await;
    let page = page.map_err(|_| ApiError::unavailable())?;
    let next = page.rooms.last().filter(|_| page.has_more).map(|(game, _)| game.clone());
    let mut by_shard: Vec<Vec<GameId>> = vec![Vec::new(); site.shards.len()];
    for (game, shard) in page.rooms {
        by_shard[shard].push(game);
    }
    let games = ask::within_patience(async {
        let asked = site
            .shards
            .iter()
            .zip(by_shard)
            .filter(|(_, games)| !games.is_empty())
            .map(|(shard, games)| actix_rt::spawn(on_shard_of(shard.clone(), games)));
        let mut described = Vec::new();
        for asked in asked.collect::<Vec<_>>() {
            described.extend(asked.await.ok().flatten().ok_or_else(ApiError::unavailable)?);
        }
        Ok(described)
    });
    let mut games = games.await?;
    games.sort_unstable_by(|a, b| a.room.game.cmp(&b.room.game));
    Ok(ask::json(&GameList { games, next }))
}

async fn on_shard_of(shard: Addr<Shard>, games: Vec<GameId>) -> Option<Vec<RoomDescription<RoomSummary<usize>>>> {
    on_shard(&shard, |local| async move { local.rooms.describe_open(&games).await }).await
}

async fn show(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    let game = guard_game(&site, &request).await?;
    let shown = ask(&site, game, move |local, game| async move {
        let detail = local.rooms.ask(&game, false, |room| async move { room.show().await }).await?;
        // Serialised on the shard: a room's values must not leave it.
        Ok(RawJson::from_serialize(&local.rooms.describe(game, detail)))
    });
    Ok(ask::json_text(shown.await?.as_str().to_owned()))
}

async fn events(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    let game = guard_game(&site, &request).await?;
    let after = number(&request, "after", 0, u64::MAX)?.unwrap_or(0);
    let limit = number(&request, "limit", 1, MAX_EVENTS)?.unwrap_or(MAX_EVENTS) as usize;
    let page = ask(&site, game, move |local, game| async move {
        local.rooms.ask(&game, false, |room| async move { room.events(after, limit).await }).await
    });
    let page = page.await?;
    let (events, first_seq, seq) = (page.events, page.first_seq, page.seq);
    Ok(ask::json_text(format!(r#"{{"events":{events},"first_seq":{first_seq},"seq":{seq}}}"#)))
}

async fn append(site: web::Data<Site>, request: HttpRequest, payload: web::Payload) -> ApiResult {
    let game = guard_game(&site, &request).await?;
    let key = idempotency_key(&request, "")?;
    let (max_data, max_state) =
        (site.admission.config.connection.max_message_bytes, site.admission.config.room.max_state_bytes);
    let text = body(&site, &request, payload, max_data.max(max_state) + ENVELOPE_BYTES).await?;
    let key = key.map(|key| IdempotencyKey { key, body: BodyHash::of(text.as_bytes()) });
    let event = parse_event(&text)?;
    if matches!(&event, EventRequest::Message { data, .. } if data.as_str().len() > max_data) {
        return Err(ApiError::message_too_big());
    }
    let append = Append { event, key };
    let seq = ask(&site, game, move |local, game| async move {
        let ask = |room: RoomHandle| {
            let append = append.clone();
            async move { room.append(append).await }
        };
        local.rooms.ask(&game, true, ask).await
    });
    Ok(ask::json_text(format!(r#"{{"seq":{}}}"#, seq.await?)))
}

async fn kick(site: web::Data<Site>, request: HttpRequest, payload: web::Payload) -> ApiResult {
    let game = guard_game(&site, &request).await?;
    let kick = parse_kick(&body(&site, &request, payload, ENVELOPE_BYTES).await?)?;
    // A ban is kept in the room, so it creates the room if necessary.
    let may_begin = kick.ban_s.is_some_and(|seconds| seconds > 0);
    info!(
        site.admission.logger, "an operator kicks a player";
        "game" => %game, "player" => %kick.player, "ban_s" => kick.ban_s
    );
    let seq = ask(&site, game, move |local, game| async move {
        let ask = |room: RoomHandle| {
            let kick = kick.clone();
            async move { room.kick(kick).await }
        };
        local.rooms.ask(&game, may_begin, ask).await
    });
    let seq = seq.await?.map_or_else(|| "null".to_owned(), |seq| seq.to_string());
    Ok(ask::json_text(format!(r#"{{"seq":{seq}}}"#)))
}

async fn close(site: web::Data<Site>, request: HttpRequest) -> ApiResult {
    let game = guard_game(&site, &request).await?;
    info!(site.admission.logger, "an operator closes a game"; "game" => %game);
    let closed = ask(&site, game, move |local, game| async move {
        local.rooms.ask(&game, false, |room| async move { room.close().await }).await
    });
    closed.await?;
    Ok(ask::json_text("{}".into()))
}
