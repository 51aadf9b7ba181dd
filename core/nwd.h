// Overlaps of tiny objects, for both devices: where a box of 8 pixels that is 4 off has an IoU of 1/3 or
// less, these still fall slowly. Neither is invariant to scale: their constant C is a length, about the size
// of the data set's objects in pixels of the network input (12.8 for AI-TOD), and grows with the images.
//
// `eps` is added to squared distances. The authors' metric has 1e-6, so that nwd(b, b) is 0.99992, their loss
// 1e-7, and their NMS nothing.
#pragma once

#include <cmath>

#include "core/box.h"

namespace osprey {

// The squared distance of the centres.
HOST_DEVICE inline float squared_centre_distance(Box a, Box b) {
  const float dx = (a.x1 + a.x2 - b.x1 - b.x2) / 2, dy = (a.y1 + a.y2 - b.y1 - b.y2) / 2;
  return dx * dx + dy * dy;
}

// The squared 2-Wasserstein distance of the boxes taken as normal distributions, whose mean is the centre and
// whose deviations are half of width and height.
// "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection", Wang et al., arXiv 2110.13389.
HOST_DEVICE inline float squared_wasserstein(Box a, Box b) {
  const float dw = a.width() - b.width(), dh = a.height() - b.height();
  return squared_centre_distance(a, b) + (dw * dw + dh * dh) / 4;
}

// exp(-distance / C), 1 for equal boxes. The same paper.
HOST_DEVICE inline float nwd(Box a, Box b, float constant, float eps = 0) {
  return expf(-sqrtf(squared_wasserstein(a, b) + eps) / constant);
}

// The same of the centres alone, "Dot Distance for Tiny Object Detection in Aerial Images", Xu et al., CVPR
// Workshops 2021.
HOST_DEVICE inline float dotd(Box a, Box b, float constant, float eps = 0) {
  return expf(-sqrtf(squared_centre_distance(a, b) + eps) / constant);
}

// Slopes along the corners of `a`, themselves in the form of a box. Those of the squared distances are exact.
HOST_DEVICE inline Box slopes_of_squared_centre_distance(Box a, Box b) {
  const float dx = (a.x1 + a.x2 - b.x1 - b.x2) / 2, dy = (a.y1 + a.y2 - b.y1 - b.y2) / 2;
  return {dx, dy, dx, dy};
}
HOST_DEVICE inline Box slopes_of_squared_wasserstein(Box a, Box b) {
  const Box d = slopes_of_squared_centre_distance(a, b);
  const float dw = (a.width() - b.width()) / 2, dh = (a.height() - b.height()) / 2;
  return {d.x1 - dw, d.y1 - dh, d.x2 + dw, d.y2 + dh};
}

// Of exp(-sqrt(squared + eps) / C). At distance 0 without eps, a peak, it is 0.
HOST_DEVICE inline Box slopes_of_normalised(float squared, Box slopes, float constant, float eps) {
  const float distance = sqrtf(squared + eps);
  if (distance <= 0) return {0, 0, 0, 0};
  const float factor = -expf(-distance / constant) / (2 * constant * distance);
  return {factor * slopes.x1, factor * slopes.y1, factor * slopes.x2, factor * slopes.y2};
}
HOST_DEVICE inline Box nwd_slopes(Box a, Box b, float constant, float eps = 0) {
  return slopes_of_normalised(squared_wasserstein(a, b), slopes_of_squared_wasserstein(a, b), constant, eps);
}
HOST_DEVICE inline Box dotd_slopes(Box a, Box b, float constant, float eps = 0) {
  return slopes_of_normalised(squared_centre_distance(a, b), slopes_of_squared_centre_distance(a, b),
                              constant, eps);
}

}  // namespace osprey
