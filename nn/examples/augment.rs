//! One digit, and what augmentation makes of it: all of them are still a four.
//!
//! `cargo run -p plies-nn --example augment`

use plies_nn::data::{Augment, Batch, Draws, Erase};
use plies_tensor::{Result, Tensor};

/// A four, a character for each pixel.
const FOUR: [&str; 14] = [
    "              ",
    "              ",
    "    ++    ##  ",
    "    ##    ##  ",
    "    ##   +##  ",
    "   +##   ##   ",
    "   ##+   ##   ",
    "   ########   ",
    "   ++++++##   ",
    "        +#+   ",
    "        ##    ",
    "        ##    ",
    "        ##    ",
    "              ",
];

/// From nothing to full, each a little darker.
const INK: [char; 5] = [' ', '.', '+', '#', '@'];

fn draw(title: &str, images: &Tensor) -> Result<()> {
    let [n, h, w] = *images.dims() else { return Ok(()) };
    let pixels = images.to_vec::<f32>()?;
    println!("{title}");
    for y in 0..h {
        let row = |i: usize| -> String {
            let row = &pixels[(i * h + y) * w..][..w];
            row.iter().map(|x| INK[((x * 4.0).round() as usize).min(4)]).collect()
        };
        println!("{}", (0..n).map(row).collect::<Vec<_>>().join("|").trim_end());
    }
    println!();
    Ok(())
}

fn main() -> Result<()> {
    let pixels = FOUR.iter().flat_map(|row| {
        row.chars().map(|c| match c {
            '#' => 1.0,
            '+' => 0.5,
            _ => 0.0f32,
        })
    });
    let four = Tensor::from_vec(pixels.collect(), [1, 14, 14]);
    draw("as it is", &four)?;
    let fours = four.broadcast_to([5, 14, 14]);
    for (title, augment) in [
        (
            "turned by up to 20 degrees, moved by up to 1.5 pixels",
            Augment::new().rotate(20.0).shift(1.5),
        ),
        ("bent", Augment::new().elastic(14.0, 2.5)),
        ("both, and a part erased", {
            let erase =
                Erase { probability: 1.0, area: (0.05, 0.2), value: Some(0.0), ..Erase::default() };
            Augment::new().rotate(20.0).shift(1.5).elastic(14.0, 2.5).erase(erase)
        }),
    ] {
        let batch = Batch::new(fours.clone(), Tensor::from([4; 5]));
        draw(title, &augment.apply(batch, &Draws::new(1, 0, 0, &[0, 1, 2, 3, 4])).inputs)?;
    }
    Ok(())
}
