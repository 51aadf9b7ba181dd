// Boxes with their names, drawn on an image.
#pragma once

#include <string>

#include "core/box.h"
#include "data/image.h"

namespace osprey {

// A colour for a class: well apart for neighbouring classes, the same in every run.
Rgb class_colour(int class_id);

// A frame of the box (pixels of the image) about 0.3% of the image's height thick, and above it the text on a
// plate of the same colour; empty text draws the frame alone. Cut at the image's edge. Only printable ASCII
// has letters; every other byte is drawn as "?". Images of one or two channels get the colour's brightness.
void draw_box(Image& image, const Box& box, Rgb colour, const std::string& text);

}  // namespace osprey
