//! How the API server is asked: nobody waits for it for long.

use std::future::Future;
use std::time::Duration;

use crate::kubernetes::{said_of, said_of_status};

/// How long one answer may take.
const WITHIN: Duration = Duration::from_secs(15);

/// Why there is none.
pub(super) enum Trouble {
    /// There is no such thing.
    Missing,
    /// The asker may not.
    Forbidden(String),
    /// Nobody knows.
    Unanswered(String),
}

impl Trouble {
    /// Why, in words.
    pub(super) fn why(self) -> String {
        match self {
            Self::Missing => "there is none".to_owned(),
            Self::Forbidden(why) | Self::Unanswered(why) => why,
        }
    }
}

/// The answer to a request.
pub(super) async fn answer<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match tokio::time::timeout(WITHIN, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Err(Trouble::Missing),
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            Err(Trouble::Forbidden(said_of_status(&status)))
        }
        Ok(Err(error)) => Err(Trouble::Unanswered(said_of(&error))),
        Err(_) => Err(Trouble::Unanswered(format!("no answer within {} s", WITHIN.as_secs()))),
    }
}
