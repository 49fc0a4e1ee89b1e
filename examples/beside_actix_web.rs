//! Owns a web application of its own with an Innkeeper beside it, in one process. Run:
//! `cargo run --example beside_actix_web`, then open the address that it prints: it leads to the
//! game server.

#![allow(clippy::print_stdout)] // The address is what a person needs to see.

use std::{collections::HashMap, io};

use actix_web::{App, HttpResponse, HttpServer, web};
use innkeeper::{Innkeeper, config::Config};

/// The address that the application gives its pages to connect to.
async fn game_server(address: web::Data<String>) -> HttpResponse {
    HttpResponse::Ok().json(HashMap::from([("url", address.get_ref())]))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = HashMap::from([("HOST", "127.0.0.1"), ("PORT", "0"), ("DURABILITY", "memory")]);
    let config = Config::from_source(&settings, None, Default::default())?;
    // Rooms run on threads of the server's own; the application keeps its runtime.
    let rooms = Innkeeper::new(config).start()?;
    let url = web::Data::new(format!("ws://{}", rooms.address()));

    let served: io::Result<()> = actix_web::rt::System::new().block_on(async {
        let app = move || App::new().app_data(url.clone()).route("/game-server", web::get().to(game_server));
        // Ends on SIGINT and SIGTERM.
        let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0))?;
        for address in server.addrs() {
            println!("http://{address}/game-server");
        }
        server.run().await
    });
    rooms.stop()?;
    served?;
    Ok(())
}
