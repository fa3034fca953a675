//! Line icons on a 24 by 24 grid; always beside words, never instead of them.

use leptos::prelude::*;

/// What an icon shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glyph {
    Check,
    Clock,
    Cross,
    Download,
    Info,
    Moon,
    Refresh,
    Sides,
    Stop,
    Sun,
    Trash,
    Upload,
    User,
    Warning,
}

impl Glyph {
    const fn path(self) -> &'static str {
        match self {
            Self::Check => "M5 12.5l5 5 9-10.500",
            Self::Clock => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3.500 2.200",
            Self::Cross => "M6 6l12 12M18 6L6 18",
            Self::Download => "M12 4v11.500M7 11l5 5 5-5M4 20h16",
            Self::Info => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.500M12 7.600v.01",
            Self::Moon => "M20 14.300A8.500 8.500 0 0 1 9.700 4a8.500 8.500 0 1 0 10.300 10.300z",
            Self::Refresh => "M20 11a8 8 0 1 0-2.300 6.300M20 5v6h-6",
            Self::Sides => "M9 7l-5 5 5 5M15 7l5 5-5 5",
            Self::Stop => "M7.500 7.500h9v9h-9z",
            Self::Sun => {
                "M12 16.500a4.500 4.500 0 1 0 0-9 4.500 4.500 0 0 0 0 9zM12 2.500v2M12 19.500v2M4.500 12h-2M21.500 12h-2M5.300 5.300l1.400 1.400M17.300 17.300l1.400 1.400M18.700 5.300l-1.400 1.400M6.700 17.300l-1.400 1.400"
            }
            Self::Trash => "M5 7h14M10 7V4.500h4V7M7 7l1 13h8l1-13M10.500 11v5M13.500 11v5",
            Self::Upload => "M12 15.500V4M7 9l5-5 5 5M4 15v5h16v-5",
            Self::User => {
                "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.500 20.500c.8-4 3.700-5.500 7.500-5.500s6.700 1.500 7.500 5.500"
            }
            Self::Warning => "M12 4L2.800 20h18.400zM12 10v4.500M12 17.300v.01",
        }
    }
}

#[component]
pub(crate) fn Icon(glyph: Glyph) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d=glyph.path() />
        </svg>
    }
}
