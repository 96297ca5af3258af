//! Two axum services and a client on lossy links, in virtual time: what a test of a distributed system looks like.
//!
//! A shop asks another service for prices. A tenth of all packets is lost, and still every run with one seed is the same, octet
//! for octet; the capture says so.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::middleware::map_response;
use axum::{Router, routing::get};
use handwave::sim::{LinkConfig, Loss, Sim, date};
use handwave::{Stack, TcpListener, TcpStream};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, client::conn::http1::handshake};
use hyper_util::rt::TokioIo;

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SHOP: [u8; 4] = [10, 0, 0, 2];
const PRICES: [u8; 4] = [10, 0, 0, 3];

fn main() -> io::Result<()> {
    let (answers, took, capture) = run(7)?;
    println!("{} answers in {took:?} of virtual time:", answers.len());
    for answer in &answers {
        println!("  {answer}");
    }
    println!(
        "The capture has {} octets; again, it {} the same.",
        capture.len(),
        if run(7)?.2 == capture { "is" } else { "is not" }
    );
    Ok(())
}

/// What the client hears, how long it takes, and what a capture at the shop shows.
pub(crate) fn run(seed: u64) -> io::Result<(Vec<String>, Duration, Vec<u8>)> {
    let link = LinkConfig {
        delay: Duration::from_millis(20),
        loss: Loss::Random(0.1),
        rate_bytes_per_second: Some(1_250_000),
        queue_limit: 64_000,
        ..LinkConfig::default()
    };
    Sim::from_seed(seed)
        .link(link)
        .recording()
        .run(async |net| {
            let (client, shop, prices) = (net.host(CLIENT)?, net.host(SHOP)?, net.host(PRICES)?);
            serve(&prices, PRICES, Router::new().route("/{item}", get(price)))?;
            serve(
                &shop,
                SHOP,
                Router::new()
                    .route("/offer/{item}", get(offer))
                    .with_state(shop.clone()),
            )?;
            let mut answers = Vec::new();
            for item in ["tea", "bread", "nothing"] {
                answers.push(fetch(&client, (SHOP, 80).into(), &format!("/offer/{item}")).await?);
            }
            Ok((answers, net.elapsed(), net.pcapng(SHOP)?))
        })
}

fn serve(stack: &Stack, addr: [u8; 4], app: Router) -> io::Result<()> {
    let listener = TcpListener::bind(stack, (addr, 80).into())?;
    let app = app.layer(map_response(date));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(())
}

async fn price(Path(item): Path<String>) -> String {
    match item.as_str() {
        "tea" => "3".into(),
        "bread" => "4".into(),
        _ => "no".into(),
    }
}

async fn offer(State(shop): State<Stack>, Path(item): Path<String>) -> String {
    match fetch(&shop, (PRICES, 80).into(), &format!("/{item}")).await {
        Ok(price) => format!("{item} for {price} coins"),
        Err(error) => format!("no price for {item}: {error}"),
    }
}

async fn fetch(stack: &Stack, server: SocketAddr, path: &str) -> io::Result<String> {
    let stream = TcpStream::connect(stack, server).await?;
    let (mut http, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", server.to_string())
        .body(Empty::<Bytes>::new());
    let request = request.map_err(io::Error::other)?;
    let answer = http.send_request(request).await.map_err(io::Error::other)?;
    let body = answer
        .into_body()
        .collect()
        .await
        .map_err(io::Error::other)?;
    Ok(String::from_utf8_lossy(&body.to_bytes()).into_owned())
}
