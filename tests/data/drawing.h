// What tests of drawing share.
#pragma once

#include "data/augment.h"

namespace osprey {

inline AugmentOptions input_of(int width, int height) {
  AugmentOptions o;
  o.width = width;
  o.height = height;
  return o;
}

}  // namespace osprey
