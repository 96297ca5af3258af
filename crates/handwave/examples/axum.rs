//! An axum app with a TCP and an address of its own, over TUN. Run it as root and say `curl http://10.7.0.2/`.

use axum::{Router, routing::get};
use handwave::{Stack, TcpListener, device::TunBuilder};

#[tokio::main(flavor = "current_thread")]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let kernel = "10.7.0.1/24".parse()?;
    let tun = TunBuilder::new().name("hw-axum").address(kernel).create()?;
    let stack = Stack::builder()
        .device(tun)
        .address([10, 7, 0, 2], 24)
        .spawn()?;
    let listener = TcpListener::bind(&stack, ([10, 7, 0, 2], 80).into())?;

    let app = Router::new().route("/", get(async || "Hello from another TCP\n"));
    println!("curl http://10.7.0.2/");
    axum::serve(listener, app).await?;
    Ok(())
}
