//! Owns the tokens of a load's players: signed for each with the server's secret, or given.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::LoadOptions;
use crate::{
    config::{AuthMode, Config, Secret, TokenConfig},
    protocol::PlayerId,
    token::{MintedClaims, mint},
};

/// Names of the players of a room, and their tokens if the server wants some. Printing shows none.
#[derive(Debug)]
pub(super) struct PlayerTokens {
    players: Vec<(String, Option<Secret>)>,
}

impl PlayerTokens {
    /// `lifetime` is for how long the tokens must be good.
    ///
    /// # Errors
    /// A sentence that states which option is wrong; it shows no token and no secret.
    pub(super) fn new(options: &LoadOptions, config: &Config, lifetime: Duration) -> Result<Self, String> {
        if !options.token.is_empty() {
            if options.token.len() != options.players {
                let (tokens, players) = (options.token.len(), options.players);
                return Err(format!(
                    "--token is given {tokens} times, for --players {players}: each player of a room needs its own"
                ));
            }
            let players = options.token.iter().enumerate().map(|(index, token)| {
                let player = subject(token, config).ok_or_else(|| {
                    format!("--token number {} is no JWT with the id of a player in its claim", index + 1)
                })?;
                Ok((player, Some(Secret::new(token))))
            });
            return players.collect::<Result<_, String>>().map(|players| Self { players });
        }
        let signing = signing_config(options, config)?;
        let now = SystemTime::now();
        let players = (0..options.players).map(|index| {
            let player = format!("p{index}");
            let claims = MintedClaims { player: player.clone(), ttl: lifetime, ..MintedClaims::default() };
            let token = signing.as_ref().map(|config| mint(config, &claims, now)).transpose()?;
            Ok((player, token.map(Secret::new)))
        });
        players.collect::<Result<_, String>>().map(|players| Self { players })
    }

    pub(super) fn player(&self, index: usize) -> &str {
        &self.players[index].0
    }

    pub(super) fn token(&self, index: usize) -> Option<&str> {
        self.players[index].1.as_ref().map(Secret::expose)
    }
}

/// The settings to sign tokens with; `None`: the players have none.
fn signing_config(options: &LoadOptions, config: &Config) -> Result<Option<Config>, String> {
    let mut config = config.clone();
    if let Some(file) = &options.jwt_secret_file {
        let text = fs::read_to_string(file)
            .map_err(|error| format!("--jwt-secret-file {}: it cannot be read: {error}", file.display()))?;
        let secret = text.trim();
        if secret.is_empty() {
            return Err(format!("--jwt-secret-file {}: it is empty", file.display()));
        }
        let mut tokens = match config.gate.auth.mode {
            AuthMode::Jwt(tokens) => *tokens,
            AuthMode::Open => TokenConfig::default(),
        };
        tokens.secret = Some(Secret::new(secret));
        config.gate.auth.mode = AuthMode::Jwt(Box::new(tokens));
    }
    let has_secret = matches!(&config.gate.auth.mode, AuthMode::Jwt(tokens) if tokens.secret.is_some());
    Ok(has_secret.then_some(config))
}

/// The player of a token, whose signature is the server's to check.
fn subject(token: &str, config: &Config) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let claim = match &config.gate.auth.mode {
        AuthMode::Jwt(tokens) => tokens.player_claim.as_str(),
        AuthMode::Open => "sub",
    };
    let player = claim.split('.').try_fold(&claims, |value, name| value.get(name))?.as_str()?;
    PlayerId::parse(player).ok().map(|_| player.to_owned())
}
