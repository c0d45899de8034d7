//! `serve`: a page to draw on, and the network's answer as the pen moves.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page; nothing in it comes from elsewhere |
//! | `GET /about` | the network and the data, JSON |
//! | `POST /read` | 84 x 84 bytes of ink -> how it is read, JSON |
//! | `GET /image/N` | training image N, 784 bytes |
//!
//! What is none of these, or too long, or slow, gets a 4xx and one line of text that says what is wanted.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path as FilePath,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Request, State, rejection::BytesRejection},
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use plies_console::{Console, Failure, Interrupt, thousands};
use plies_digits::reader::{DRAWING, Reader, SIDE};
use serde_json::json;
use tokio::{net::TcpListener, runtime, time};

use super::{examples, load};
use crate::cli::{Cli, DEFAULT_FILE, ServeArgs};

const PAGE: &str = include_str!("../page/page.html");

/// Whoever takes longer to send a drawing is not drawing.
const PATIENCE: Duration = Duration::from_secs(10);

/// The page needs nothing from elsewhere, so nothing may be loaded or sent there.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let model = match &args.model {
        Some(file) => file.clone(),
        None => {
            train_first()?;
            DEFAULT_FILE.into()
        }
    };
    let console = Console::new(&args.common)?;
    console.keep_apart("--model", &model)?;
    // Requests are answered beside each other, each by one thread.
    plies_tensor::set_threads(1);
    let (network, _) = load(&model)?;
    let (train, _, data) = examples(&args.data)?;
    let about = json!({
        "model": network.settings.to_string(),
        "parameters": network.settings.parameters(),
        "epochs": network.epochs_done,
        "data": data,
        "train_examples": train.len(),
        "side": SIDE,
    });
    let reader = Arc::new(Reader::new(network, train));
    let threads =
        args.common.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads.unwrap_or(1))
        .enable_all()
        .build()?;
    runtime.block_on(serve(args, &console, reader, about))
}

/// Trains the default network if there is none yet.
fn train_first() -> Result<(), Failure> {
    if FilePath::new(DEFAULT_FILE).exists() {
        return Ok(());
    }
    let arguments = ["plies-digits", "train", "--misread", "0"];
    let cli = Cli::try_parse_from(arguments)?;
    match cli.command {
        Some(crate::cli::Command::Train(args)) => super::train::run(&args),
        _ => Ok(()),
    }
}

async fn serve(
    args: &ServeArgs,
    console: &Console,
    reader: Arc<Reader>,
    about: serde_json::Value,
) -> Result<(), Failure> {
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::BadInput(format!("{address}: {error}; --port and --host choose another address"))
    })?;
    let address = listener.local_addr()?;
    console.result(&format!("draw on http://{address}/"))?;
    if !args.host.is_loopback() {
        console.progress("anybody who reaches this address can use it; Ctrl-C ends it");
    }
    console.json(&json!({ "command": "serve", "address": address.to_string(), "about": about }))?;
    let stop = Interrupt::handle().stop();
    let stopped = async move {
        while !stop.load(Ordering::Relaxed) {
            time::sleep(Duration::from_millis(50)).await;
        }
    };
    axum::serve(listener, routes(reader, about)).with_graceful_shutdown(stopped).await?;
    Ok(())
}

fn routes(reader: Arc<Reader>, about: serde_json::Value) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/about", get(move || async move { Json(about) }))
        .route("/read", post(read))
        .route("/image/{index}", get(image))
        .fallback(nowhere)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(DRAWING))
        .layer(middleware::from_fn(in_time))
        .with_state(reader)
}

/// One line that says what was wrong.
type Refused = (StatusCode, String);

async fn read(
    State(reader): State<Arc<Reader>>,
    drawing: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let drawing = drawing.map_err(|rejected| (rejected.status(), wanted()))?;
    if drawing.len() != DRAWING {
        return Err((StatusCode::BAD_REQUEST, wanted()));
    }
    let reading = reader
        .read(&drawing)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("the drawing {error}\n")))?;
    Ok(Json(reading).into_response())
}

fn wanted() -> String {
    format!("a drawing has {DRAWING} bytes, {SIDE} rows of {SIDE}\n")
}

async fn image(
    State(reader): State<Arc<Reader>>,
    Path(index): Path<String>,
) -> Result<Response, Refused> {
    let (train, wanted) = (reader.train(), index.parse::<usize>());
    match wanted {
        Ok(index) if index < train.len() => {
            let kept = [(header::CACHE_CONTROL, "max-age=3600")];
            Ok((kept, train.image(index).to_vec()).into_response())
        }
        _ => {
            let last = thousands(train.len() - 1);
            Err((StatusCode::NOT_FOUND, format!("training images have the numbers 0 to {last}\n")))
        }
    }
}

async fn nowhere(uri: Uri) -> Refused {
    let path: String = uri.path().chars().take(60).collect();
    (StatusCode::NOT_FOUND, format!("there is nothing at {path}\n"))
}

async fn other_method(method: Method) -> Refused {
    let method: String = method.as_str().chars().take(20).collect();
    (StatusCode::METHOD_NOT_ALLOWED, format!("this is not answered to {method}\n"))
}

/// Refuses what says that it is too long before it comes, and what does not come to its end.
async fn in_time(request: Request, next: Next) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let mut response = if length.is_some_and(|length| length > DRAWING as u64) {
        (StatusCode::PAYLOAD_TOO_LARGE, wanted()).into_response()
    } else {
        time::timeout(PATIENCE, next.run(request)).await.unwrap_or_else(|_| {
            (StatusCode::REQUEST_TIMEOUT, "the request did not come to its end\n").into_response()
        })
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An address, for the command line.
pub(crate) fn host(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| "it takes an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned())
}
