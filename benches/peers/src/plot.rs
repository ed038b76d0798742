//! The figures as a picture: how many times plain Rust each engine takes, on a logarithmic scale.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::measure::Figure;

const SIZE_PX: (u32, u32) = (900, 640);
const OURS: RGBColor = RGBColor(31, 111, 235);
const OTHERS: RGBColor = RGBColor(150, 160, 175);
const FONT: &str = "sans-serif";

/// Writes the picture.
pub fn write(path: &Path, tables: &[(usize, Vec<Figure>)]) -> Result<()> {
    let area = SVGBackend::new(path, SIZE_PX).into_drawing_area();
    draw(&area, tables).map_err(|error| anyhow!("{}: {error}", path.display()))
}

type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, tables: &[(usize, Vec<Figure>)]) -> Drawn {
    area.fill(&WHITE)?;
    let area = area.titled("Time of a node, times plain Rust (less is better)", (FONT, 22))?;
    for (panel, (nodes, figures)) in area.split_evenly((tables.len(), 1)).iter().zip(tables) {
        bars(panel, *nodes, figures)?;
    }
    area.present()?;
    Ok(())
}

fn bars(panel: &DrawingArea<SVGBackend<'_>, Shift>, nodes: usize, figures: &[Figure]) -> Drawn {
    let most = figures.iter().map(|figure| figure.ratio).fold(1.0, f64::max);
    let caption = if nodes == 1 {
        "One node in a call: Lucid makes a fresh instance for it, the others reuse theirs"
            .to_owned()
    } else {
        format!("{nodes} nodes in a call")
    };
    let mut chart = ChartBuilder::on(panel)
        .caption(caption, (FONT, 16))
        .margin(8)
        .margin_right(30)
        .x_label_area_size(24)
        .y_label_area_size(170)
        // Beyond the longest bar there is room for its figures.
        .build_cartesian_2d((0.8..most * 12.0).log_scale(), 0.0..figures.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_label_formatter(&|ratio| format!("{ratio} ×"))
        .draw()?;
    for (place, figure) in figures.iter().rev().enumerate() {
        let low = place as f64;
        let colour = if figure.name.starts_with("Lucid") { OURS } else { OTHERS };
        chart.draw_series([Rectangle::new(
            [(0.8, low + 0.15), (figure.ratio, low + 0.85)],
            colour.filled(),
        )])?;
        let told = format!("{:.1} ×, {} ns", figure.ratio, rounded(figure.node_ns));
        let after =
            (FONT, 13).into_font().into_text_style(panel).pos(Pos::new(HPos::Left, VPos::Center));
        chart.draw_series([Text::new(told, (figure.ratio * 1.08, low + 0.5), after.clone())])?;
        let name = after.pos(Pos::new(HPos::Right, VPos::Center));
        chart.draw_series([Text::new(figure.name.to_owned(), (0.76, low + 0.5), name)])?;
    }
    Ok(())
}

fn rounded(ns: f64) -> String {
    if ns < 100.0 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}
