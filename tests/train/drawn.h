// A tiny data set and a tiny detector: coloured rectangles on grey, learnt in seconds.
#pragma once

#include <string>
#include <vector>

#include "core/random.h"
#include "data/image.h"
#include "data/labels.h"
#include "tests/data/temporary.h"

namespace osprey {

constexpr int kDrawnSize = 64;

// Writes `count` images with one to three rectangles, red (class 0) or blue (class 1), and t.data. Returns
// the path of the latter.
inline std::string draw_set(const Temporary& folder, int count) {
  std::string list;
  std::filesystem::create_directories(folder / "images");
  for (int i = 0; i < count; ++i) {
    Random random(5, Purpose::test, uint64_t(i));
    Image image(kDrawnSize, kDrawnSize, 3, 0.5f);
    for (float& p : image.pixels) p += random.uniform(-0.1f, 0.1f);
    std::vector<Label> labels;
    const int objects = 1 + random.below(3);
    for (int k = 0; k < objects; ++k) {  // each in a third of its own
      const int class_id = random.below(2), w = 10 + random.below(9), h = 10 + random.below(20);
      const int left = 21 * k + random.below(21 - w + 1), top = random.below(kDrawnSize - h);
      for (int y = top; y < top + h; ++y)
        for (int x = left; x < left + w; ++x)
          for (int c = 0; c < 3; ++c) image.at(y, x, c) = c == 2 * class_id ? 0.9f : 0.1f;
      const float s = 1.0f / kDrawnSize;
      labels.push_back(
          {class_id, centre(scaled(Box{float(left), float(top), float(left + w), float(top + h)}, s, s))});
    }
    const std::string name = folder / ("images/" + std::to_string(i));
    save_image(name + ".png", image);
    write_darknet_labels(name + ".txt", labels);
    list += name + ".png\n";
  }
  const std::string names = folder.write("t.names", "red\nblue\n"), train = folder.write("train.txt", list);
  return folder.write("t.data", "classes=2\ntrain=" + train + "\nvalid=" + train + "\nnames=" + names +
                                    "\nbackup=" + (folder / "backup") + "\n");
}

// `net` gives keys of [net] that win over those here, as the first of two equal ones does; `yolo` adds to the
// head.
inline std::string drawn_cfg(int max_batches, const std::string& net = "",
                             const std::string& yolo = "random=0\n") {
  return "[net]\n" + net +
         "width=64\nheight=64\nmomentum=0.9\ndecay=0.0005\nlearning_rate=0.01\nburn_in=20\n"
         "policy=steps\nsteps=100000\nscales=.1\nflip=1\nhue=0\nmax_batches=" +
         std::to_string(max_batches) +
         "\nbatch=4\n"
         "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
         "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
         "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
         "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
         "[shortcut]\nfrom=-2\nactivation=linear\n"
         "[convolutional]\nfilters=14\nsize=1\nactivation=linear\n"
         "[yolo]\nmask=0,1\nanchors=14,14, "
         "14,24\nnum=2\nclasses=2\njitter=0.1\nignore_thresh=0.7\niou_loss=ciou\n"
         "iou_normalizer=0.07\n" +
         yolo;
}

}  // namespace osprey
