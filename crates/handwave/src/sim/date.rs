//! The `Date` of HTTP answers in virtual time.

use std::time::{Duration, SystemTime};

use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::clock::Universe;

/// Dates an answer that bears no date by the virtual time, which begins with the year 1970.
///
/// hyper dates answers by the wall clock, which makes each run's octets differ from the last one's. This layer is all that an app
/// needs for its runs to be the same; outside a [`Sim`](super::Sim) it does nothing, so an app can have it always.
///
/// ```
/// use axum::{Router, middleware::map_response, routing::get};
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(map_response(handwave::sim::date));
/// ```
pub async fn date(mut response: Response) -> Response {
    if let Some(universe) = Universe::current() {
        let since_start = Duration::from_nanos(universe.now().as_nanos());
        let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since_start);
        if let Ok(date) = HeaderValue::try_from(date) {
            response.headers_mut().entry(header::DATE).or_insert(date);
        }
    }
    response
}
