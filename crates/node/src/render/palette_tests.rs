use super::*;

#[test]
fn no_two_colours_are_alike_on_light_ground() {
    for (index, one) in ALL.iter().enumerate() {
        assert!(ALL[index + 1..].iter().all(|other| other.light != one.light), "{}", one.name);
        assert!(ALL[index + 1..].iter().all(|other| other.name != one.name), "{}", one.name);
    }
}

#[test]
fn a_coloured_element_gets_the_class_of_its_colour_and_keeps_the_colour() {
    let svg =
        r##"<line opacity="1" stroke="#C2410C" x1="0"/><rect fill="#C2410C" stroke="none"/>"##;
    assert_eq!(
        classed(svg),
        r##"<line opacity="1" class="s-dirty" stroke="#C2410C" x1="0"/><rect class="f-dirty" fill="#C2410C" stroke="none"/>"##
    );
}

#[test]
fn the_style_sheet_knows_every_colour_on_both_grounds() {
    let css = style_sheet();
    for ink in ALL {
        assert_eq!(css.matches(&format!("--{}:#", ink.name)).count(), 2, "{}", ink.name);
    }
}

/// Relative luminance as WCAG 2 defines it.
fn luminance(colour: u32) -> f64 {
    let [_, red, green, blue] = colour.to_be_bytes();
    let linear = |channel: u8| {
        let share = f64::from(channel) / 255.0;
        if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

fn contrast(one: u32, other: u32) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn text_and_lines_stand_out_from_the_paper_on_both_grounds() {
    for text in [TEXT, MUTED] {
        assert!(contrast(text.light, PAPER.light) >= 4.5, "{}", text.name);
        assert!(contrast(text.dark, PAPER.dark) >= 4.5, "{}", text.name);
    }
    for line in [DIRTY, BANDWIDTH, REMAINING, THROTTLE, LIMIT, OFF_RUN, CLASSIC_RUN, STEPPED_RUN] {
        assert!(contrast(line.light, PAPER.light) >= 3.0, "{}", line.name);
        assert!(contrast(line.dark, PAPER.dark) >= 3.0, "{}", line.name);
    }
}
