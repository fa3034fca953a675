//! Areas of a small mask: what hangs together, how large it is and where. Refuses colours.

/// Narrowest share of its own box that a subject fills.
const LEAST_FILL: f32 = 0.4;
/// Narrowest and widest a subject is for its height.
const SHAPE: std::ops::RangeInclusive<f32> = 0.4..=2.2;
/// Most of a box's outline that lies on the picture's own border.
const MOST_OUTSIDE: f32 = 0.05;
/// Least share of the lower one's height that lies beside the other.
const BESIDE: f32 = 0.4;

/// Which places of a picture are meant, row by row.
#[derive(Clone)]
pub(super) struct Mask {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) set: Vec<bool>,
}

/// Places that hang together.
#[derive(Debug)]
pub(super) struct Area {
    /// How many there are.
    pub(super) pixels: usize,
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
    /// How many of them lie on the picture's border.
    outside: usize,
}

impl Mask {
    /// Places whose 3 by 3 neighbours inside the picture are `any` or all set.
    fn spread(&self, any: bool) -> Self {
        let mut set = self.set.clone();
        for (at, place) in set.iter_mut().enumerate() {
            let mut near = self.neighbours(at).map(|other| self.set[other]);
            *place = if any {
                near.any(|set| set)
            } else {
                near.all(|set| set)
            };
        }
        Self { set, ..*self }
    }

    /// A place and those around it, diagonals too.
    fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, y, width) = (at % self.width, at / self.width, self.width);
        let columns = x.saturating_sub(1)..(x + 2).min(width);
        let rows = y.saturating_sub(1)..(y + 2).min(self.height);
        rows.flat_map(move |row| columns.clone().map(move |column| row * width + column))
    }

    /// Without narrow gaps.
    pub(super) fn closed(&self) -> Self {
        self.spread(true).spread(false)
    }

    /// Without narrow bridges and specks.
    pub(super) fn opened(&self) -> Self {
        self.spread(false).spread(true)
    }

    /// Without holes: what no way through unset places joins to the border.
    pub(super) fn filled(&self) -> Self {
        let on_border = |at: usize| self.is_outer(at % self.width, at / self.width);
        let mut open = vec![false; self.set.len()];
        let mut next: Vec<usize> = (0..open.len())
            .filter(|at| on_border(*at) && !self.set[*at])
            .collect();
        while let Some(at) = next.pop() {
            if !std::mem::replace(&mut open[at], true) {
                let straight = |other: &usize| {
                    other % self.width == at % self.width || other / self.width == at / self.width
                };
                let more = self.neighbours(at).filter(straight);
                next.extend(more.filter(|other| !self.set[*other] && !open[*other]));
            }
        }
        Self {
            set: open.into_iter().map(|open| !open).collect(),
            ..*self
        }
    }

    fn is_outer(&self, x: usize, y: usize) -> bool {
        x == 0 || y == 0 || x + 1 == self.width || y + 1 == self.height
    }

    /// Every area, in the order of its first place.
    pub(super) fn areas(&self) -> Vec<Area> {
        let mut seen = vec![false; self.set.len()];
        let mut areas = Vec::new();
        for start in 0..seen.len() {
            if self.set[start] && !seen[start] {
                areas.push(self.area(start, &mut seen));
            }
        }
        areas
    }

    fn area(&self, start: usize, seen: &mut [bool]) -> Area {
        let mut area = Area::at(start % self.width, start / self.width);
        let mut next = vec![start];
        seen[start] = true;
        while let Some(at) = next.pop() {
            let (x, y) = (at % self.width, at / self.width);
            area.add(x, y, self.is_outer(x, y));
            for other in self.neighbours(at) {
                if self.set[other] && !std::mem::replace(&mut seen[other], true) {
                    next.push(other);
                }
            }
        }
        area
    }
}

impl Area {
    fn at(x: usize, y: usize) -> Self {
        Self {
            pixels: 0,
            left: x,
            right: x,
            top: y,
            bottom: y,
            outside: 0,
        }
    }

    fn add(&mut self, x: usize, y: usize, outside: bool) {
        self.pixels += 1;
        self.left = self.left.min(x);
        self.right = self.right.max(x);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y);
        self.outside += usize::from(outside);
    }

    fn width(&self) -> f32 {
        (self.right - self.left + 1) as f32
    }

    fn height(&self) -> f32 {
        (self.bottom - self.top + 1) as f32
    }

    /// Whether it is neither a line nor a frame.
    pub(super) fn is_compact(&self) -> bool {
        let box_pixels = self.width() * self.height();
        self.pixels as f32 >= LEAST_FILL * box_pixels
            && SHAPE.contains(&(self.width() / self.height()))
    }

    /// Whether the picture does not cut it.
    pub(super) fn is_inside(&self) -> bool {
        self.outside as f32 <= MOST_OUTSIDE * 2.0 * (self.width() + self.height())
    }

    /// Whether a column of neither is between the two, and one does not stand below the other.
    pub(super) fn is_beside(&self, other: &Self) -> bool {
        let apart = self.left.max(other.left) > self.right.min(other.right);
        let shared = self.bottom.min(other.bottom) as f32 - self.top.max(other.top) as f32;
        apart && shared >= BESIDE * self.height().min(other.height())
    }
}
