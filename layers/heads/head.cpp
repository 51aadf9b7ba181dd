#include "layers/heads/head.h"

#include "core/class_tree.h"
#include "core/log.h"
#include "layers/class_file.h"

namespace osprey {

void crop_keys(Keys& k, Head::Augmentation& augmentation) {
  k.integer("max", augmentation.max_boxes, 200).between(1, 65536).help("truths per image, at most");
  k.real("jitter", augmentation.jitter, 0.2f)
      .between(0, 1)
      .help("crops move by up to this part of the image");
  k.real("resize", augmentation.resize, 1)
      .more_than(0)
      .help("images are scaled by up to this, or its inverse");
}

void augmentation_keys(Keys& k, Head::Augmentation& augmentation) {
  crop_keys(k, augmentation);
  k.real("random", augmentation.random, 0)
      .at_least(0)
      .help("multi-scale training by up to this factor; 1 means 1.4; 0: none. The last head decides");
}

std::vector<Anchor> read_anchors(const Plan& p, const std::vector<float>& listed, int num) {
  p.require(listed.empty() || int(listed.size()) >= 2 * num, "anchors",
            fmt::format("anchors must list {} numbers (num={} pairs), not {}", 2 * num, num, listed.size()));
  if (int(listed.size()) > 2 * num)
    warn("{}: anchors lists {} numbers, of which num={} takes the first {}", p.cfg_file(), listed.size(), num,
         2 * num);
  std::vector<Anchor> anchors(size_t(num), {0.5f, 0.5f});
  if (!listed.empty())
    for (int a = 0; a < num; ++a) anchors[a] = {listed[2 * a], listed[2 * a + 1]};
  return anchors;
}

void plan_class_map(const Plan& p, const std::string& path, int classes, std::vector<int>& map) {
  if (path.empty() || !map.empty()) return;
  map = read_class_map(class_file(p, "map", path));
  for (int id : map)
    p.require(id < classes, "map",
              fmt::format("map: {} has the class {}, but classes={} are numbered from 0", path, id, classes));
}

void plan_loss_work(Plan& p, LossWork& work, int truths, int slots) {
  const Shape in = p.input();
  p.scratch(work.parts, {1, 1, 1, loss_parts(in) * int(sizeof(LossReport))}, Type::u8);
  if (!p.on_gpu()) return;
  p.scratch(work.rows, {in.n, 1, truths, slots});
  p.scratch(work.overlaps, {in.n, 1, truths, 2 * slots});
}

}  // namespace osprey
