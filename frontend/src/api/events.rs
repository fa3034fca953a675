//! A job's event stream: replayed from the start, resumed after a cut, closed with its owner.

use std::{cell::RefCell, rc::Rc};

use gloo_timers::callback::Timeout;
use shared::{JobId, progress::JobEvent};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventSource, MessageEvent};

/// How often arrived events are handed on: a replay of thousands must not redraw thousands of times.
const FLUSH_MILLISECONDS: u32 = 80;
/// How long to wait before a stream that the server refused is opened again.
const REOPEN_MILLISECONDS: u32 = 3_000;

/// State of the line to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Not open yet.
    Connecting,
    /// Open.
    Live,
    /// Cut; trying again.
    Reconnecting,
    /// Everything has been told.
    Ended,
}

/// What the stream tells its owner.
pub(crate) enum Signal {
    /// The line changed.
    Line(Line),
    /// Events, in order.
    Events(Vec<JobEvent>),
}

type Listener = Rc<dyn Fn(Signal)>;

struct Connection {
    source: EventSource,
    _on_open: Closure<dyn FnMut(Event)>,
    _on_error: Closure<dyn FnMut(Event)>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.set_onmessage(None);
        self.source.close();
    }
}

struct Inner {
    job: JobId,
    listener: Listener,
    last: i64,
    buffer: Vec<JobEvent>,
    flush: Option<Timeout>,
    reopen: Option<Timeout>,
    open: Option<Connection>,
}

/// The stream; dropping it closes the line.
pub(crate) struct JobStream(Rc<RefCell<Inner>>);

impl JobStream {
    /// Opens the stream of a job.
    pub(crate) fn new(job: JobId, listener: impl Fn(Signal) + 'static) -> Self {
        let inner = Rc::new(RefCell::new(Inner {
            job,
            listener: Rc::new(listener),
            last: 0,
            buffer: Vec::new(),
            flush: None,
            reopen: None,
            open: None,
        }));
        connect(&inner);
        Self(inner)
    }
}

impl Drop for JobStream {
    fn drop(&mut self) {
        let mut inner = self.0.borrow_mut();
        inner.open = None;
        inner.flush = None;
        inner.reopen = None;
    }
}

fn tell(inner: &Rc<RefCell<Inner>>, signal: Signal) {
    let listener = Rc::clone(&inner.borrow().listener);
    listener(signal);
}

fn connect(inner: &Rc<RefCell<Inner>>) {
    let path = {
        let inner = inner.borrow();
        let path = format!("/v1/jobs/{}/events", inner.job);
        if inner.last > 0 {
            format!("{path}?after={}", inner.last)
        } else {
            path
        }
    };
    let Ok(source) = EventSource::new(&path) else {
        tell(inner, Signal::Line(Line::Reconnecting));
        return;
    };
    let weak = Rc::downgrade(inner);
    let on_open = Closure::<dyn FnMut(Event)>::new(move |_| {
        if let Some(inner) = weak.upgrade() {
            tell(&inner, Signal::Line(Line::Live));
        }
    });
    let weak = Rc::downgrade(inner);
    let on_error = Closure::<dyn FnMut(Event)>::new(move |_| {
        if let Some(inner) = weak.upgrade() {
            recover(&inner);
        }
    });
    let weak = Rc::downgrade(inner);
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
        if let Some(inner) = weak.upgrade() {
            receive(&inner, &message);
        }
    });
    source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    source.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    inner.borrow_mut().open = Some(Connection {
        source,
        _on_open: on_open,
        _on_error: on_error,
        _on_message: on_message,
    });
}

/// The browser reconnects by itself after a cut, but not after a refusal: then we do.
fn recover(inner: &Rc<RefCell<Inner>>) {
    tell(inner, Signal::Line(Line::Reconnecting));
    let closed = inner
        .borrow()
        .open
        .as_ref()
        .is_some_and(|open| open.source.ready_state() == EventSource::CLOSED);
    if closed {
        let weak = Rc::downgrade(inner);
        let timer = Timeout::new(REOPEN_MILLISECONDS, move || {
            if let Some(inner) = weak.upgrade() {
                connect(&inner);
            }
        });
        inner.borrow_mut().reopen = Some(timer);
    }
}

fn receive(inner: &Rc<RefCell<Inner>>, message: &MessageEvent) {
    let Some(event) = message
        .data()
        .as_string()
        .and_then(|text| serde_json::from_str::<JobEvent>(&text).ok())
    else {
        return;
    };
    let mut state = inner.borrow_mut();
    // A resumed stream may repeat what was told before the cut.
    if event.sequence <= state.last {
        return;
    }
    state.last = event.sequence;
    state.buffer.push(event);
    if state.flush.is_none() {
        let weak = Rc::downgrade(inner);
        state.flush = Some(Timeout::new(FLUSH_MILLISECONDS, move || {
            if let Some(inner) = weak.upgrade() {
                hand_on(&inner);
            }
        }));
    }
}

fn hand_on(inner: &Rc<RefCell<Inner>>) {
    let events = {
        let mut state = inner.borrow_mut();
        state.flush = None;
        std::mem::take(&mut state.buffer)
    };
    let ended = events.iter().any(ends);
    tell(inner, Signal::Events(events));
    if ended {
        inner.borrow_mut().open = None;
        tell(inner, Signal::Line(Line::Ended));
    }
}

fn ends(event: &JobEvent) -> bool {
    use shared::progress::JobEventBody;
    matches!(&event.event, JobEventBody::Status { status, .. } if status.is_final())
}
