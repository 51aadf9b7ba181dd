#include "layers/heads/head.h"

namespace osprey {

std::vector<Anchor> read_anchors(const Plan& p, const std::vector<float>& listed, int num) {
  p.require(listed.empty() || int(listed.size()) >= 2 * num, "anchors",
            fmt::format("anchors must list {} numbers (num={} pairs), not {}", 2 * num, num, listed.size()));
  std::vector<Anchor> anchors(size_t(num), {0.5f, 0.5f});
  if (!listed.empty())
    for (int a = 0; a < num; ++a) anchors[a] = {listed[2 * a], listed[2 * a + 1]};
  return anchors;
}

void plan_loss_work(Plan& p, LossWork& work, int truths, int slots) {
  const Shape in = p.input();
  p.scratch(work.parts, {1, 1, 1, loss_parts(in) * int(sizeof(LossReport))}, Type::u8);
  if (!p.on_gpu()) return;
  p.scratch(work.rows, {in.n, 1, truths, slots});
  p.scratch(work.overlaps, {in.n, 1, truths, 2 * slots});
}

}  // namespace osprey
