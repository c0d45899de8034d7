//! Pixels of a picture found where a map says they come from: the one pass that interpolates.
//!
//! A pixel p of the result is the picture at M p + Σ L f(p), where M is affine, f is a field of
//! displacements with its strength and L the linear part of the map that it is seen through. Between
//! pixels the picture is interpolated linearly in both directions; beyond its edge it is `fill`, as if a
//! frame of pixels without end were around it.

use super::Affine;
use super::images::Images;

/// Where the pixels of one picture come from.
#[derive(Clone, Debug)]
pub(super) struct Warp {
    /// From points of the result to points of the picture, each from its centre.
    pub(super) inverse: Affine,
    /// For each field L times its strength, [[a, b], [c, d]].
    pub(super) fields: Vec<[[f32; 2]; 2]>,
}

/// Replaces each picture by its warped one of size `to` [OH, OW].
///
/// Each of `fields` has displacements for all pictures, [N, 2, OH, OW]: x, then y.
pub(super) fn warp(
    images: &mut Images,
    to: [usize; 2],
    warps: &[Warp],
    fields: &[Vec<f32>],
    fill: f32,
) {
    let [channels, h, w] = images.dims;
    let [oh, ow] = to;
    let (len, area) = (images.len(), oh * ow);
    let mut frame = Frame::new(channels, h, w, fill);
    let mut row = Row::new(ow);
    let mut warped = vec![fill; images.count * channels * area];
    for (i, warp) in warps.iter().enumerate() {
        frame.hold(&images.pixels[i * len..(i + 1) * len]);
        let result = &mut warped[i * channels * area..(i + 1) * channels * area];
        // From pixels of the result, counted from its corner, to pixels of the frame.
        let [[a, b, u], [c, d, v]] = warp.inverse.rows();
        let centre = |n: usize| (n as f64 - 1.0) / 2.0;
        let (x0, y0) = (centre(ow), centre(oh));
        let (u, v) = (u + centre(w) + 1.0 - a * x0 - b * y0, v + centre(h) + 1.0 - c * x0 - d * y0);
        for y in 0..oh {
            let line = y as f64;
            row.start(a as f32, (b * line + u) as f32, c as f32, (d * line + v) as f32);
            for (field, linear) in fields.iter().zip(&warp.fields) {
                let (f_x, f_y) = field[2 * i * area..2 * (i + 1) * area].split_at(area);
                row.displace(linear, &f_x[y * ow..][..ow], &f_y[y * ow..][..ow]);
            }
            row.locate(h, w, frame.width);
            for channel in 0..channels {
                let out = &mut result[channel * area + y * ow..][..ow];
                row.interpolate(frame.channel(channel), frame.width, out);
            }
        }
    }
    images.pixels = warped;
    images.dims = [channels, oh, ow];
}

/// A picture in a frame of `fill`, one pixel wide above and to the left, two below and to the right: so
/// a point that is moved to the frame at the most has all four neighbours, and no edge is a special case.
struct Frame {
    pixels: Vec<f32>,
    picture: [usize; 2],
    width: usize,
    area: usize,
}

impl Frame {
    fn new(channels: usize, h: usize, w: usize, fill: f32) -> Self {
        let (width, area) = (w + 3, (h + 3) * (w + 3));
        Frame { pixels: vec![fill; channels * area], picture: [h, w], width, area }
    }

    fn hold(&mut self, pixels: &[f32]) {
        let [h, w] = self.picture;
        if h * w == 0 {
            return;
        }
        for (from, to) in pixels.chunks_exact(h * w).zip(self.pixels.chunks_exact_mut(self.area)) {
            for (from, to) in from.chunks_exact(w).zip(to.chunks_exact_mut(self.width).skip(1)) {
                to[1..=w].copy_from_slice(from);
            }
        }
    }

    fn channel(&self, channel: usize) -> &[f32] {
        &self.pixels[channel * self.area..][..self.area]
    }
}

/// Where the pixels of one row of the result come from. Four loops, each over a whole row: the first
/// three are arithmetic that the compiler vectorises.
struct Row {
    x: Vec<f32>,
    y: Vec<f32>,
    /// The upper left one of the four neighbours.
    at: Vec<u32>,
}

impl Row {
    fn new(width: usize) -> Self {
        Row { x: vec![0.0; width], y: vec![0.0; width], at: vec![0; width] }
    }

    /// x = a i + u, y = c i + v
    fn start(&mut self, a: f32, u: f32, c: f32, v: f32) {
        for (i, (x, y)) in self.x.iter_mut().zip(&mut self.y).enumerate() {
            let i = i as i32 as f32;
            (*x, *y) = (a * i + u, c * i + v);
        }
    }

    fn displace(&mut self, linear: &[[f32; 2]; 2], f_x: &[f32], f_y: &[f32]) {
        let [[a, b], [c, d]] = *linear;
        let places = self.x.iter_mut().zip(&mut self.y);
        for ((x, y), (f_x, f_y)) in places.zip(f_x.iter().zip(f_y)) {
            *x += a * f_x + b * f_y;
            *y += c * f_x + d * f_y;
        }
    }

    /// Splits x and y into neighbours and the way from one to the next, 0 to 1.
    fn locate(&mut self, h: usize, w: usize, width: usize) {
        let (last_x, last_y, width) = ((w + 1) as f32, (h + 1) as f32, width as u32);
        for ((x, y), at) in self.x.iter_mut().zip(&mut self.y).zip(&mut self.at) {
            (*x, *y) = (x.clamp(0.0, last_x), y.clamp(0.0, last_y));
            let (left, top) = (*x as i32, *y as i32);
            (*x, *y) = (*x - left as f32, *y - top as f32);
            *at = top as u32 * width + left as u32;
        }
    }

    fn interpolate(&self, frame: &[f32], width: usize, out: &mut [f32]) {
        let places = self.x.iter().zip(&self.y).zip(&self.at);
        for (out, ((x, y), &at)) in out.iter_mut().zip(places) {
            let near = &frame[at as usize..][..width + 2];
            let upper = near[0] + (near[1] - near[0]) * x;
            let lower = near[width] + (near[width + 1] - near[width]) * x;
            *out = upper + (lower - upper) * y;
        }
    }
}
