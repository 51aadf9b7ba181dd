// What AlexeyAB's training samples have beside crop and colour: turns, blur and noise; each drawn for an
// image of a sample.
#pragma once

#include <vector>

#include "core/box.h"
#include "core/random.h"
#include "core/sample.h"
#include "data/image.h"

namespace osprey {

struct AugmentOptions;

enum class BlurKind { none, background, all };

struct Effects {
  float turn = 0;  // radians, of a detector's image; a classifier's is turned with its crop
  BlurKind blur = BlurKind::none;
  float noise = 0;  // deviation, of values 0..1
  uint64_t noise_key = 0;
};

// With `blur` each kind has a third of the images, with gaussian_noise half of them get noise. Darknet draws
// its noise into unsigned bytes, so that it only ever brightens; here it goes both ways.
Effects draw_effects(const AugmentOptions& options, Random& random);

// The box around a box that is turned about a point; by a positive angle its right side goes up.
Box turned_box(const Box& box, float x, float y, float angle);

// A turned part shows its window, turned about its middle, where it otherwise would be resized to.
void turn(SamplePart& part, float angle);

// A Gaussian over a part's canvas; boxes, in pixels of it, stay sharp.
struct CanvasBlur {
  int side = 0;  // of the kernel, odd; 0: no blur
  std::vector<Box> sharp;
};

// Of kind `background` 17 pixels, without the boxes. Of kind `all` the odd number at `blur`, but no more than
// an eighth of the smallest box' shorter side, so that small objects stay.
CanvasBlur blur_of(BlurKind kind, int blur, const std::vector<Box>& boxes);

// Makes the canvas of a part an image of its own, blurred, in bytes as Darknet's images are: the part then
// shows that image, and its crop, turn and colours are in it.
ByteImage blurred_canvas(SamplePart& part, const ByteImage& image, int width, int height,
                         const CanvasBlur& blur);

}  // namespace osprey
