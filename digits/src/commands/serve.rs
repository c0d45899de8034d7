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
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
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
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use plies_console::{Console, Failure, Interrupt, thousands};
use plies_digits::reader::{DRAWING, Reader, SIDE};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::Semaphore,
    time,
};

use super::{examples, load};
use crate::cli::{Cli, Command, DEFAULT_FILE, ServeArgs};

const PAGE: &str = include_str!("../page/page.html");

/// Whoever takes longer to say what is wanted, or to send a drawing, is not drawing.
const PATIENCE: Duration = Duration::from_secs(5);
/// So many visitors are attended to at a time; others wait until one leaves.
const VISITORS: u32 = 256;
/// Nobody stays longer than this; a page that is still open just comes back.
const STAY: Duration = Duration::from_secs(300);
/// How often it is looked whether the program is to end.
const TICK: Duration = Duration::from_millis(50);

/// The page needs nothing from elsewhere, so nothing may be loaded or sent there.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let console = Console::new(&args.common)?;
    let model = args.model.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    console.keep_apart("--model", &model)?;
    if args.model.is_none() && !model.exists() {
        train_first(args, &console)?;
    }
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

/// Trains the default network.
fn train_first(args: &ServeArgs, console: &Console) -> Result<(), Failure> {
    let Some(Command::Train(mut train)) = Cli::try_parse_from(["plies-digits", "train"])?.command
    else {
        unreachable!("the command that was parsed")
    };
    train.data = args.data.clone();
    let learnt = super::train::learn(&train, console)?;
    if learnt.saved.is_ok() {
        learnt.go_on()?;
    }
    learnt.saved
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
    // Before anybody knows that there is something to end.
    let stop = Interrupt::handle().stop();
    console.result(&format!("draw on http://{address}/"))?;
    if !args.host.is_loopback() {
        console.progress("anybody who reaches this address can use it; Ctrl-C ends it");
    }
    console.json(&json!({ "command": "serve", "address": address.to_string(), "about": about }))?;
    let (routes, places) = (routes(reader, about), Arc::new(Semaphore::new(VISITORS as usize)));
    while !stop.load(Ordering::Relaxed) {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        match time::timeout(TICK, next).await {
            Ok((Ok(place), Ok((stream, _)))) => {
                let (routes, stop) = (routes.clone(), stop.clone());
                tokio::spawn(async move {
                    attend(stream, routes, &stop).await;
                    drop(place);
                });
            }
            // There may be no more sockets at the moment.
            Ok(_) => time::sleep(TICK).await,
            Err(_) => {} // nobody came
        }
    }
    let _ = time::timeout(2 * PATIENCE, places.acquire_many(VISITORS)).await;
    Ok(())
}

/// Answers a visitor until one of both has enough; what has been asked by then is answered.
async fn attend(stream: TcpStream, routes: Router, stop: &AtomicBool) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let (mut connection, came) = (pin!(connection), Instant::now());
    while !stop.load(Ordering::Relaxed) && came.elapsed() < STAY {
        if time::timeout(TICK, connection.as_mut()).await.is_ok() {
            return;
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = time::timeout(PATIENCE, connection).await;
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
