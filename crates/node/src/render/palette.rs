//! The colours of a page and of its charts, on light and on dark ground.

use std::fmt::Write as _;

use plotters::style::RGBColor;

/// A colour by what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ink {
    /// How style sheets call it: `--name`, `.f-name` where it fills, `.s-name` where it draws a line.
    pub(super) name: &'static str,
    light: u32,
    dark: u32,
}

const fn ink(name: &'static str, light: u32, dark: u32) -> Ink {
    Ink { name, light, dark }
}

pub(super) const PAPER: Ink = ink("paper", 0xfd_fd_fc, 0x12_16_1b);
pub(super) const TEXT: Ink = ink("text", 0x1b_1f_24, 0xe6_ed_f3);
pub(super) const MUTED: Ink = ink("muted", 0x5b_64_6e, 0x9d_a7_b3);
pub(super) const GRID: Ink = ink("grid", 0xe4_e7_eb, 0x27_2e_36);
pub(super) const AXIS: Ink = ink("axis", 0xa9_b1_ba, 0x4b_55_61);
/// What the guest dirties.
pub(super) const DIRTY: Ink = ink("dirty", 0xc2_41_0c, 0xff_9a_5c);
/// What the link carries.
pub(super) const BANDWIDTH: Ink = ink("bandwidth", 0x1d_6f_d8, 0x6c_b6_ff);
/// What is still to be sent.
pub(super) const REMAINING: Ink = ink("remaining", 0x6d_3f_c4, 0xb8_9b_ff);
pub(super) const THROTTLE: Ink = ink("throttle", 0xb7_79_1f, 0xe3_b3_41);
pub(super) const LIMIT: Ink = ink("limit", 0x1a_7f_4b, 0x56_d3_8c);
/// A new pass begins.
pub(super) const PASS: Ink = ink("pass", 0xc9_ce_d6, 0x3a_43_4e);
/// The switchover begins.
pub(super) const SWITCHOVER: Ink = ink("switchover", 0x1b_1f_25, 0xe6_ed_f2);
/// The guest stands still.
pub(super) const STILL: Ink = ink("still", 0xf1_d9_d4, 0x4a_2a_26);
pub(super) const OFF_RUN: Ink = ink("off-run", 0xb4_23_18, 0xff_8a_80);
pub(super) const CLASSIC_RUN: Ink = ink("classic-run", 0xa1_62_07, 0xe6_b4_50);
pub(super) const STEPPED_RUN: Ink = ink("stepped-run", 0x1d_6f_d9, 0x6c_b6_fe);
pub(super) const ADAPTIVE_RUN: Ink = ink("adaptive-run", 0x1a_7f_4c, 0x56_d3_8d);

/// Every colour. No two are alike on light ground: that is how [`classed`] tells them apart.
const ALL: [Ink; 17] = [
    PAPER,
    TEXT,
    MUTED,
    GRID,
    AXIS,
    DIRTY,
    BANDWIDTH,
    REMAINING,
    THROTTLE,
    LIMIT,
    PASS,
    SWITCHOVER,
    STILL,
    OFF_RUN,
    CLASSIC_RUN,
    STEPPED_RUN,
    ADAPTIVE_RUN,
];

impl Ink {
    /// The colour on light ground, as the charting crate wants it.
    pub(super) fn rgb(self) -> RGBColor {
        let [_, red, green, blue] = self.light.to_be_bytes();
        RGBColor(red, green, blue)
    }
}

/// A style sheet that defines every colour as a variable, and for every colour classes that fill, draw and
/// underlay with it. Follows the reader's preference for light or dark.
pub(super) fn style_sheet() -> String {
    let mut css = String::from(":root{color-scheme:light dark;");
    for ink in ALL {
        let _ = write!(css, "--{}:#{:06x};", ink.name, ink.light);
    }
    css += "}@media(prefers-color-scheme:dark){:root{";
    for ink in ALL {
        let _ = write!(css, "--{}:#{:06x};", ink.name, ink.dark);
    }
    css += "}}";
    for Ink { name, .. } in ALL {
        let _ = write!(
            css,
            ".f-{name}{{fill:var(--{name})}}.s-{name}{{stroke:var(--{name})}}.b-{name}{{background:var(--{name})}}"
        );
    }
    css
}

/// Gives every coloured element of a drawing the class of its colour. The colour itself stays, for viewers that know no
/// style sheets.
pub(super) fn classed(svg: &str) -> String {
    let mut classed = svg.to_owned();
    for Ink { name, light, .. } in ALL {
        for (attribute, class) in [("fill", 'f'), ("stroke", 's')] {
            let coloured = format!(" {attribute}=\"#{light:06X}\"");
            let with_class = format!(" class=\"{class}-{name}\"{coloured}");
            classed = classed.replace(&coloured, &with_class);
        }
    }
    classed
}

#[cfg(test)]
#[path = "palette_tests.rs"]
mod tests;
