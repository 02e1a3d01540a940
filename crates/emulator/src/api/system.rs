//! `GET /auth/whoami` (contract section 1) and `GET /system/health` (contract section 2.2).

use serde_json::json;

use super::reply::Reply;
use crate::clock::zulu;
use crate::service::World;
use crate::service::tokens::Token;

pub(super) fn whoami(token: &Token) -> Reply {
    let body = json!({
        "authenticated": true, "auth_type": if token.pat { "pat" } else { "client_credentials" },
        "client_id": token.client, "project_name": "Emulated project", "email": "owner@example.com", "role": "owner",
        "scopes": ["jobs:read", "jobs:write"], "token_expires_at": null, "token_id": token.fingerprint,
        "session_binding": null,
    });
    Reply::json(200, &body)
}

pub(super) fn health(world: &World) -> Reply {
    let workers = json!({"spider_site": 2, "spider_maps": 2, "total": 4, "available": true});
    let body = json!({
        "status": "healthy", "timestamp": zulu(world.clock.now()), "version": "1.0.0",
        "services": {"database": "up", "redis": "up", "rabbitmq": "up", "workers": workers},
    });
    Reply::json(200, &body)
}
