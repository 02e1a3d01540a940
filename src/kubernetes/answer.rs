//! How the API server is asked by a command: nobody waits for an answer for long.

use std::future::Future;
use std::time::Duration;

use kube::Client;
use serde_json::Value;

use super::words::{said_of, said_of_status};

/// How long one answer may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Why there is no answer.
pub enum Trouble {
    /// There is no such thing.
    Missing,
    /// It changed meanwhile.
    Changed,
    /// The asker may not.
    Forbidden(String),
    /// Nobody knows.
    Unanswered(String),
}

impl Trouble {
    /// Why, in words.
    pub fn why(self) -> String {
        match self {
            Self::Missing => "there is none".to_owned(),
            Self::Changed => "it changed meanwhile".to_owned(),
            Self::Forbidden(why) | Self::Unanswered(why) => why,
        }
    }
}

/// The answer to a request.
///
/// # Errors
/// See [`Trouble`].
pub async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(WITHIN, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(match status.code {
            404 => Trouble::Missing,
            409 => Trouble::Changed,
            401 | 403 => Trouble::Forbidden(said_of_status(&status)),
            _ => Trouble::Unanswered(said_of_status(&status)),
        }),
        Ok(Err(error)) => Err(Trouble::Unanswered(said_of(&error))),
        Err(_) => Err(Trouble::Unanswered(format!("no answer within {} s", WITHIN.as_secs()))),
    }
}

/// What the API server has at this path, as JSON.
///
/// # Errors
/// See [`Trouble`].
pub async fn page(client: &Client, path: &str) -> Result<Value, Trouble> {
    let unread = |why: &str| Trouble::Unanswered(why.to_owned());
    let request = http::Request::get(path).body(Vec::new()).map_err(|_| unread("it is no path"))?;
    let text = answer(client.request_text(request)).await?;
    serde_json::from_str(&text).map_err(|_| unread("it is no JSON"))
}
