//! `serve`: a page to draw on, and the network's answer as the pen moves.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page; nothing in it comes from elsewhere |
//! | `GET /about` | the network, and the images among which the nearest are looked for, JSON |
//! | `POST /read` | 84 x 84 bytes of ink -> how it is read, JSON |
//! | `GET /image/ID/N` | image N of these, 784 bytes; `ID` is the identity of all of them, from `/about` |
//!
//! What is none of these, or too long, or slow, gets a 4xx and one line of text that says what is wanted. Only what is
//! no HTTP, or has too long a head, gets hyper's own answer, a 4xx without a line.

mod visitors;

use std::{
    hash::{DefaultHasher, Hasher},
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    sync::Arc,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use clap::Parser;
use plies_console::{Console, Failure, Interrupt};
use plies_digits::{
    idx::Examples,
    reader::{DRAWING, Reader, SIDE},
};
use serde_json::json;
use tokio::{net, runtime, time};

use self::visitors::PATIENCE;
use super::{examples, load};
use crate::cli::{Cli, Command, DEFAULT_FILE, ServeArgs};

const PAGE: &str = include_str!("../page/page.html");

/// The page needs nothing from elsewhere, so nothing may be loaded or sent there.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// What the page shows.
struct Served {
    reader: Reader,
    /// The identity of the images.
    images: String,
}

/// Other images have another one.
fn identity(train: &Examples) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(&train.pixels);
    format!("{:016x}", hasher.finish())
}

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
    let (train, _, data) = examples(&console, &args.data, &[])?;
    let images = identity(&train);
    let about = json!({
        "model": network.settings.to_string(),
        "parameters": network.settings.parameters(),
        "epochs": network.epochs_done,
        "images": { "data": data, "count": train.len(), "id": images },
        "side": SIDE,
    });
    let served = Arc::new(Served { images, reader: Reader::new(network, train) });
    let threads =
        args.common.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(threads.unwrap_or(1))
        .enable_all()
        .build()?;
    runtime.block_on(serve(args, &console, served, about))
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
    served: Arc<Served>,
    about: serde_json::Value,
) -> Result<(), Failure> {
    let address = SocketAddr::new(args.host, args.port);
    let listener = net::TcpListener::bind(address).await.map_err(|error| {
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
    visitors::attend(listener, routes(served, about), &stop).await;
    Ok(())
}

fn routes(served: Arc<Served>, about: serde_json::Value) -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/about", get(move || async move { Json(about) }))
        .route("/read", post(read))
        .route("/image/{images}/{index}", get(image))
        .fallback(nowhere)
        .method_not_allowed_fallback(other_method)
        .layer(DefaultBodyLimit::max(DRAWING))
        .layer(middleware::from_fn(in_time))
        .with_state(served)
}

/// One line that says what was wrong.
type Refused = (StatusCode, String);

async fn read(
    State(served): State<Arc<Served>>,
    drawing: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let drawing = drawing.map_err(|rejected| (rejected.status(), wanted()))?;
    if drawing.len() != DRAWING {
        return Err((StatusCode::BAD_REQUEST, wanted()));
    }
    let reading = served
        .reader
        .read(&drawing)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, format!("the drawing {error}\n")))?;
    Ok(Json(reading).into_response())
}

fn wanted() -> String {
    format!("a drawing has {DRAWING} bytes, {SIDE} rows of {SIDE}\n")
}

/// Since the address names the images, what it gives never changes.
async fn image(
    State(served): State<Arc<Served>>,
    address: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Refused> {
    let Served { images, reader } = &*served;
    let train = reader.train();
    let index = address.ok().and_then(|Path((of, index))| {
        let wanted: usize = index.parse().ok()?;
        let is_here = of == *images && wanted < train.len();
        (is_here && wanted.to_string() == index).then_some(wanted) // 7 has one address, not /07 nor /+7
    });
    let Some(index) = index else {
        let last = train.len() - 1;
        let wanted =
            format!("the images here are /image/{images}/0 to {last}; load the page anew\n");
        return Err((StatusCode::NOT_FOUND, wanted));
    };
    let kept = [(header::CACHE_CONTROL, "max-age=31536000, immutable")];
    Ok((kept, train.image(index).to_vec()).into_response())
}

async fn nowhere(uri: Uri) -> Refused {
    let path: String = uri.path().chars().take(60).collect();
    (StatusCode::NOT_FOUND, format!("there is nothing at {path}; the page is at /\n"))
}

async fn other_method(method: Method, uri: Uri) -> Refused {
    let method: String = method.as_str().chars().take(20).collect();
    let wanted = if uri.path() == "/read" { "POST" } else { "GET" };
    (StatusCode::METHOD_NOT_ALLOWED, format!("this is answered to {wanted}, not to {method}\n"))
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

/// An address, or a name of one, for the command line. A name may have several; it stands for the first of them that
/// is this machine's.
pub(crate) fn host(text: &str) -> Result<IpAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found = (text, 0).to_socket_addrs().into_iter().flatten();
    let mut of_this_machine = found.filter(|address| TcpListener::bind(address).is_ok());
    of_this_machine.next().map(|address| address.ip()).ok_or_else(|| {
        "it takes an address of this machine, such as localhost, 127.0.0.1 or 0.0.0.0".to_owned()
    })
}
