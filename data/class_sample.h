// Darknet's training samples for classifiers: an image turned, scaled, moved, mirrored and re-coloured, and
// what mixes several of them. Everything is a function of the images, the options and the random numbers.
#pragma once

#include <span>

#include "data/augment.h"

namespace osprey {

// How a sample is made of several images, each with half of the samples of those that are turned on.
enum class ClassMix {
  none,
  mean,   // mixup: the mean of two
  paste,  // cutmix: a rectangle of 30 to 80 % of each side of the second lies on the first
  mosaic  // four around a random point
};
ClassMix draw_class_mix(const AugmentOptions& options, Random& random);
int images_of(ClassMix mix);

// The shorter side of an image (of its aspect ratio as it was drawn) comes to min_crop .. max_crop pixels,
// and a window of the input's larger side is taken of it, somewhere within; beyond the image its edge is
// repeated. The window then comes to the size of the input.
SamplePart describe_crop(const Labelled& image, const AugmentOptions& options, Random& random);

// A sample of images_of(mix) images. Its targets sum to 1 where each image is of one class: shares of the
// images by what is seen of them, smoothed. Of the effects a turn does not count: the crop has its own.
Described describe_class(std::span<const Labelled> images, ClassMix mix, const AugmentOptions& options,
                         int classes, Random& random, const std::array<Effects, 4>& effects = {});

}  // namespace osprey
