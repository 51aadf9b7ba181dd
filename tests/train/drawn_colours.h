// A tiny set of classes and a tiny classifier that learns them in seconds.
#pragma once

#include <fmt/format.h>

#include <string>

#include "core/random.h"
#include "data/image.h"
#include "tests/data/temporary.h"

namespace osprey {

// Flat images with noise: red, green and blue ones, in folders of these names.
inline std::string draw_colours(const Temporary& folder, int of_each) {
  const char* const names[] = {"red", "green", "blue"};
  for (int c = 0; c < 3; ++c)
    for (int i = 0; i < of_each; ++i) {
      Random random(11, Purpose::test, uint64_t(c), uint64_t(i));
      Image image(20, 18, 3);
      for (size_t k = 0; k < image.pixels.size(); ++k)
        image.pixels[k] = random.uniform(0, .4f) + (int(k % 3) == c ? .4f : .15f);
      const std::string name = fmt::format("set/{}/{}.png", names[c], i);
      folder.write(name, "");
      save_image(folder / name, image);
    }
  folder.write("names", "red\ngreen\nblue\n");
  return folder.write("c.data", "root=.\nclasses=3\ntrain=set\nvalid=set\nlabels=names\ntop=2\n");
}

inline std::string colours_cfg(const std::string& net = "", const std::string& end = "[softmax]\n") {
  return "[net]\n" + net +
         "width=16\nheight=16\nbatch=6\nlearning_rate=0.05\nmax_batches=40\nmax_crop=20\n"
         "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
         "[convolutional]\nfilters=3\nsize=1\nactivation=linear\n"
         "[avgpool]\n" +
         end;
}

}  // namespace osprey
