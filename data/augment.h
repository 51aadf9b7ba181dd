// AlexeyAB's training samples for detectors: a random crop of the image (it may exceed the image), brought to
// the size of the network, mirrored and re-coloured, with its boxes; and the mosaic of four.
//
// As in his build without OpenCV: beyond the image its edge is repeated, resizing is resize(), colours are
// floats. Everything is a function of the image, the options and the random numbers.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "core/random.h"
#include "core/step.h"
#include "data/effects.h"
#include "data/image.h"
#include "data/labels.h"
#include "data/proposals.h"

namespace osprey {

// The keys of [net] and of the last detection layer. The defaults change nothing but the size.
struct AugmentOptions {
  int width = 0, height = 0;  // of the network input
  int max_boxes = 200;
  float jitter = 0;      // each edge moves by up to this share of the image
  float resize = 1;      // zooms by up to this factor, in or out (out only if below 1)
  float hue = 0;         // turns hues by up to this, in turns
  float saturation = 1;  // multiplies or divides by up to this
  float exposure = 1;
  bool flip = false;          // mirrors half of the samples
  bool letter_box = false;    // keeps the aspect ratio, grey around, as in detection
  bool mosaic = false;        // half of the samples are made of four images
  bool mosaic_bound = false;  // boxes of a mosaic end at their image's quarter
  bool mixup = false;         // half of the other samples are the mean of two
  float angle = 0;            // turns by up to this, in degrees, either way
  int blur = 0;               // a third of the images is blurred by this side, a third but for its objects
  float gaussian_noise = 0;   // half of the images get noise of this deviation, in levels of 0..255
  // Of classifiers alone (data/class_sample.h). The shorter side of an image comes to min_crop .. max_crop
  // pixels; 0: the larger side of the input, and twice that.
  int min_crop = 0, max_crop = 0;
  float aspect = 1;           // multiplies or divides the aspect ratio by up to this
  bool cutmix = false;        // a rectangle of the sample is another's
  float label_smoothing = 0;  // this share of the target is the other classes', in equal parts
};

// Error: a value that no sample can be made with, mosaic with letter_box (as Darknet).
void check(const AugmentOptions& options);

// What was drawn for one image. Margins are in pixels of the image, negative where the crop exceeds it.
struct Crop {
  int left = 0, right = 0, top = 0, bottom = 0;
  bool flip = false;
  Recolour colour;
  float turn = 0;  // radians, about the crop's middle; not drawn with the rest
};
Crop draw_crop(const AugmentOptions& options, int image_width, int image_height, Random& random);

// A sample as it was drawn: how its pixels come from its images, at most max_boxes truths in random order,
// and all proposals of which a part is left, in units of the network input, the best first; of several images
// the best of each come first.
struct Described {
  SamplePlan plan;  // each image begins its own buffer
  std::vector<Truth> truths;
  std::vector<ProposedBox> proposals;
  std::vector<float> classes;              // of a classifier's sample instead: the target of each class
  std::array<CanvasBlur, kMaxParts> blur;  // of the canvas of each part
};
struct Labelled {  // an image, of which only the size matters here
  int width = 0, height = 0;
  std::span<const Label> labels = {};
  std::span<const ProposedBox> proposals = {};
  std::span<const int> classes = {};
};

// Boxes are cut at the crop's edge and dropped when a side is below one pixel of the network input. Of an
// image that is turned they become the boxes around the turned ones.
Described describe(const Labelled& image, const AugmentOptions& options, Random& random,
                   const Effects& effects = {});

// Four samples around a random point: top left, top right, bottom left, bottom right. As in Darknet, a box is
// kept where it stays inside the picture; with mosaic_bound it is first cut to its quarter in whole pixels.
Described describe_mosaic(const std::array<Labelled, 4>& images, const AugmentOptions& options,
                          Random& random, const std::array<Effects, 4>& effects = {});

// Mixup: the mean of two samples of one image each, with the truths of the first, then those of the second.
Described mean_of(Described first, Described second, const AugmentOptions& options);

}  // namespace osprey
