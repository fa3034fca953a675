//! A receiver of traces, as OTLP over HTTP has it.

use std::{
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
    routing::post,
    serve::Listener,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, crypto,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
    server::TlsStream,
};

const PROTOBUF: &str = "application/x-protobuf";

type Seen = Arc<Mutex<Vec<Received>>>;

/// A span as it came, with what its program says of itself.
#[derive(Clone, Debug)]
pub struct Received {
    resource: Vec<KeyValue>,
    span: Span,
}

impl Received {
    /// The program that made it.
    pub fn service(&self) -> String {
        self.resource("service.name")
    }

    /// What its program says of itself.
    pub fn resource(&self, name: &str) -> String {
        value(&self.resource, name)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.span.name
    }

    /// What it says; numbers as they are written.
    pub fn attribute(&self, name: &str) -> String {
        value(&self.span.attributes, name)
    }

    /// Its trace, in hexadecimal like what follows.
    pub fn trace(&self) -> String {
        hex::encode(&self.span.trace_id)
    }

    /// Its own id.
    pub fn id(&self) -> String {
        hex::encode(&self.span.span_id)
    }

    /// The span that it is a part of; nothing at a trace's root.
    pub fn parent(&self) -> String {
        hex::encode(&self.span.parent_span_id)
    }

    /// Server, client, consumer and so on.
    pub fn kind(&self) -> &'static str {
        self.span.kind().as_str_name()
    }
}

fn value(of: &[KeyValue], name: &str) -> String {
    let found = of.iter().find(|one| one.key == name);
    let found = found.and_then(|one| one.value.as_ref()?.value.as_ref());
    match found {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

/// Takes connections by TLS; whoever does not trust it is not let in.
struct TlsListener {
    plain: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            if let Ok((stream, address)) = self.plain.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.plain.local_addr()
    }
}

/// Signs for this machine; who signed is written to the file.
fn acceptor(authority: &Path) -> Result<TlsAcceptor> {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    fs::write(authority, signed.cert.pem())?;
    let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], PrivateKeyDer::Pkcs8(key))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A collector that keeps what it gets; it ends with this.
pub struct Collector {
    scheme: &'static str,
    address: SocketAddr,
    seen: Seen,
    task: JoinHandle<()>,
}

impl Collector {
    /// Starts one on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Self::serve("http", listener)
    }

    /// Starts one behind TLS, signed by an authority that is written to the file.
    pub async fn start_signed(authority: &Path) -> Result<Self> {
        let listener = TlsListener {
            plain: TcpListener::bind("127.0.0.1:0").await?,
            acceptor: acceptor(authority)?,
        };
        Self::serve("https", listener)
    }

    fn serve<L>(scheme: &'static str, listener: L) -> Result<Self>
    where
        L: Listener<Addr = SocketAddr>,
    {
        let seen = Seen::default();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(Arc::clone(&seen));
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            scheme,
            address,
            seen,
            task,
        })
    }

    /// What a program's `PERSGUARD_OTLP_ENDPOINT` has to name.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Everything that came so far.
    pub fn spans(&self) -> Vec<Received> {
        let seen = self.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    State(seen): State<Seen>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<impl IntoResponse, StatusCode> {
    if headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| kind != PROTOBUF)
    {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let request = ExportTraceServiceRequest::decode(body);
    let request = request.map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    for program in request.resource_spans {
        let resource = program.resource.unwrap_or_default().attributes;
        let spans = program
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        seen.extend(spans.map(|span| Received {
            resource: resource.clone(),
            span,
        }));
    }
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    Ok(([(header::CONTENT_TYPE, PROTOBUF)], answer))
}
