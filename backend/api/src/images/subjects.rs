//! Whether a picture may show two things beside each other, told from colours alone.
//!
//! What lies along the border is taken for the background; what differs from it clearly, in two separate areas of like
//! size side by side, is taken for two subjects. It knows nothing of what is shown: subjects that touch or overlap are
//! not told apart, nor are those before a crowd of colours. It would rather say nothing than be wrong.

mod areas;

use image::{DynamicImage, imageops::FilterType};

use areas::{Area, Mask};

/// Longest side of the copy that is looked at.
const SIDE: u32 = 64;
/// Share of the shorter side that counts as border.
const BORDER: f32 = 0.06;
/// Colours that a background is made of, at most.
const COLOURS: usize = 5;
/// Colours of a smaller share of the border belong to something that reaches into it.
const LEAST_SHARE: f32 = 0.04;
/// Rounds of Lloyd's algorithm; the colours hardly move after these.
const ROUNDS: usize = 8;
/// Least distance from the background, in CIE L*a*b*, where about 2 is just visible side by side.
const LEAST_DISTANCE: f32 = 12.0;
/// How much further than nine tenths of the border something must be.
const MARGIN: f32 = 1.6;
/// Where a tenth of the border is further than this from every colour of it, nothing is told.
const CLUTTER: f32 = 14.0;
/// Smallest share of the picture that a subject covers.
const LEAST_AREA: f32 = 0.03;
/// Share of everything that stands out that the two cover together.
const BOTH: f32 = 0.85;

type Lab = [f32; 3];

/// How large the second of two subjects is, in percent of the first; 0 where no two stand apart.
pub(super) fn second_subject(picture: &DynamicImage) -> u32 {
    let small = if picture.width().max(picture.height()) > SIDE {
        picture.resize(SIDE, SIDE, FilterType::Triangle)
    } else {
        picture.clone()
    };
    let small = small.to_rgb8();
    let (width, height) = (small.width() as usize, small.height() as usize);
    let colours: Vec<Lab> = small.pixels().map(|pixel| lab(pixel.0)).collect();
    let Some(mask) = standing_out(&colours, width, height) else {
        return 0;
    };
    let mut areas = mask.closed().filled().opened().areas();
    areas.sort_by_key(|area| std::cmp::Reverse(area.pixels));
    let all: usize = areas.iter().map(|area| area.pixels).sum();
    match areas.as_slice() {
        [first, second, ..] if are_two(first, second, all, colours.len()) => {
            u32::try_from(second.pixels * 100 / first.pixels).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Of `all` pixels that stand out in a picture of `pixels`.
fn are_two(first: &Area, second: &Area, all: usize, pixels: usize) -> bool {
    let share = second.pixels as f32 / pixels as f32;
    let both = (first.pixels + second.pixels) as f32 / all as f32;
    share >= LEAST_AREA
        && both >= BOTH
        && [first, second]
            .iter()
            .all(|area| area.is_compact() && area.is_inside())
        && first.is_beside(second)
}

/// What differs from the border; `None` where the border itself is too many colours to tell.
fn standing_out(colours: &[Lab], width: usize, height: usize) -> Option<Mask> {
    let border = border(colours, width, height);
    let background = background(&border);
    let mut distances: Vec<f32> = border
        .iter()
        .map(|colour| nearest(&background, colour).1.sqrt())
        .collect();
    distances.sort_by(f32::total_cmp);
    let usual = *distances.get(distances.len() * 9 / 10)?;
    if usual > CLUTTER {
        return None;
    }
    let limit = LEAST_DISTANCE.max(MARGIN * usual).powi(2);
    let places = colours.iter();
    Some(Mask {
        width,
        height,
        set: places
            .map(|colour| nearest(&background, colour).1 > limit)
            .collect(),
    })
}

fn border(colours: &[Lab], width: usize, height: usize) -> Vec<Lab> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let depth = (width.min(height) as f32 * BORDER).round().max(1.0) as usize;
    let outer = |at: usize, side: usize| at < depth || at + depth >= side;
    let places = colours.iter().enumerate();
    places
        .filter(|(at, _)| outer(at % width, width) || outer(at / width, height))
        .map(|(_, colour)| *colour)
        .collect()
}

/// The colours that most of the border is near to: k-means, begun with the furthest ones.
fn background(border: &[Lab]) -> Vec<Lab> {
    let mut centres = vec![mean(border.iter())];
    while centres.len() < COLOURS {
        let distance = |colour: &&Lab| nearest(&centres, colour).1;
        let furthest = border
            .iter()
            .max_by(|one, other| distance(one).total_cmp(&distance(other)));
        centres.extend(furthest.copied());
    }
    let mut shares = vec![0.0; centres.len()];
    for _ in 0..ROUNDS {
        let nearby: Vec<usize> = border
            .iter()
            .map(|colour| nearest(&centres, colour).0)
            .collect();
        for (index, centre) in centres.iter_mut().enumerate() {
            let own = || border.iter().zip(&nearby).filter(|(_, at)| **at == index);
            let count = own().count();
            shares[index] = count as f32 / border.len() as f32;
            if count > 0 {
                *centre = mean(own().map(|(colour, _)| colour));
            }
        }
    }
    let centres = centres.into_iter().zip(shares);
    centres
        .filter(|(_, share)| *share >= LEAST_SHARE)
        .map(|(centre, _)| centre)
        .collect()
}

fn mean<'a>(colours: impl Iterator<Item = &'a Lab>) -> Lab {
    let mut count = 0.0_f32;
    let sum = colours.fold([0.0; 3], |sum: Lab, colour| {
        count += 1.0;
        std::array::from_fn(|i| sum[i] + colour[i])
    });
    sum.map(|channel| channel / count.max(1.0))
}

/// The nearest of some colours and its squared distance.
fn nearest(colours: &[Lab], colour: &Lab) -> (usize, f32) {
    let distance = |other: &Lab| -> f32 { (0..3).map(|i| (other[i] - colour[i]).powi(2)).sum() };
    let distances = colours.iter().map(distance).enumerate();
    distances
        .min_by(|one, other| one.1.total_cmp(&other.1))
        .unwrap_or((0, f32::MAX))
}

/// CIE 1976 L*a*b* of an sRGB colour, white at D65 (IEC 61966-2-1, CIE 15).
fn lab(rgb: [u8; 3]) -> Lab {
    let [red, green, blue] = rgb.map(|channel| {
        let value = f32::from(channel) / 255.0;
        if value > 0.040_45 {
            ((value + 0.055) / 1.055).powf(2.4)
        } else {
            value / 12.92
        }
    });
    let root = |value: f32| {
        if value > 0.008_856 {
            value.cbrt()
        } else {
            7.787 * value + 16.0 / 116.0
        }
    };
    let x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505);
    let y = root(0.2126 * red + 0.7152 * green + 0.0722 * blue);
    let z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[cfg(test)]
mod tests;
