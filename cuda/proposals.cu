#include "cuda/proposals.h"

#include "cuda/block.cuh"

namespace osprey::cuda {
namespace {

// One thread per place of work.boxes.
__global__ void decode_kernel(RpnMaps maps, View<const Box> anchors, ProposalRule rule, BoxClip clip,
                              ProposalWork work) {
  const int i = global_thread();
  if (i >= work.boxes.size()) return;
  const Pixel at = work.boxes.shape.pixel(i);
  const int image = at.n, level = at.w;
  if (at.c >= work.counts(image, 0, 0, level)) {
    work.scores[i] = ProposalWork::kDropped;
    return;
  }
  const int row = work.chosen[i];
  const Box anchor = anchor_of(anchors, image, maps.first_row(level) + row);
  const Box box = clip.apply(rule.coder.decode(maps.deltas_of(image, level, row), anchor), image);
  const float logit = maps.logit(image, level, row);
  work.boxes[i] = box;
  work.scores[i] = rule.keeps(box, rule.probability(logit)) ? logit : ProposalWork::kDropped;
}

// A tile of 32 boxes, in order, is compared with itself by 32 warps, one for each box, a lane for each other.
constexpr int kTile = 32, kThreads = kTile * 32;

int whole_tiles(int count) { return (count + kTile - 1) / kTile * kTile; }

// Of a tile's boxes that are `left`, those that stay: each silences the later ones of its mask.
__device__ unsigned resolve(unsigned left, const unsigned* masks) {
  unsigned stays = 0;
  while (left) {
    const int b = __ffs(int(left)) - 1;
    stays |= 1u << b;
    left &= ~(masks[b] | 1u << b);
  }
  return stays;
}

// One block per level (blocks in x) and image (in y). When a tile begins, no box before it silences any that
// is alive. Its own boxes are settled first, by every thread for itself; those that stay then silence later
// ones, which the threads share. After `most` have stayed the rest is dropped: the level can give no more.
__global__ void silence_kernel(ProposalRule rule, int most, ProposalWork work) {
  unsigned char* alive = dynamic_shared<unsigned char>();  // for each box, in whole tiles
  __shared__ unsigned masks[kTile];
  const int level = int(blockIdx.x), image = int(blockIdx.y), thread = int(threadIdx.x);
  const int warp = thread / 32, lane = thread % 32;
  const int count = work.counts(image, 0, 0, level), end = (count + kTile - 1) / kTile * kTile;
  const View<Box> boxes(&work.boxes(image, 0, level, 0), {1, 1, 1, work.boxes.shape.c});
  const View<float> scores(&work.scores(image, 0, level, 0), boxes.shape);
  for (int i = thread; i < end; i += kThreads) alive[i] = i < count && scores[i] > ProposalWork::kDropped;
  __syncthreads();  // it is known who is alive
  int first = 0;
  for (int stayed = 0; first < end && stayed < most; first += kTile) {
    const bool both = warp < lane && alive[first + warp] && alive[first + lane];
    const unsigned mask =
        __ballot_sync(kAllLanes, both && rule.suppresses(boxes[first + warp], boxes[first + lane]));
    if (lane == 0) masks[warp] = mask;
    const unsigned left = __ballot_sync(kAllLanes, alive[first + lane]);
    __syncthreads();  // all masks are there, and nobody reads the tile's `alive` any more
    const unsigned stays = resolve(left, masks);
    stayed += __popc(stays);
    if (warp == 0) alive[first + lane] = stays >> lane & 1;
    for (int i = first + kTile + thread; i < count; i += kThreads)
      for (unsigned by = alive[i] ? stays : 0; by; by &= by - 1)
        if (rule.suppresses(boxes[first + __ffs(int(by)) - 1], boxes[i])) {
          alive[i] = 0;
          break;
        }
    __syncthreads();  // it is known who is alive, and the masks have been read
  }
  for (int i = thread; i < count; i += kThreads)
    if (i >= first || !alive[i]) scores[i] = ProposalWork::kDropped;
}

// One thread per place of the table.
__global__ void write_table_kernel(ProposalWork work, View<float> table) {
  const int row = global_thread();
  if (row >= table.shape.rows()) return;
  const int image = row / table.shape.w, place = row % table.shape.w;
  RoiRow roi;
  if (place < work.best_counts[image]) {
    const int places = work.scores.shape.w * work.scores.shape.c;
    const int from = image * places + work.best[row];
    roi = {work.boxes[from], ProposalRule::probability(work.scores[from]), kBackground};
  }
  set_roi(table, row, roi);
}

}  // namespace

void propose(Stream& s, const RpnMaps& maps, View<const Box> anchors, const ProposalRule& rule, BoxClip clip,
             const ProposalWork& work, View<float> table) {
  top_k(s, segments_of(maps), work.chosen, work.counts);
  launch<decode_kernel>(s, one_thread_each(work.boxes.size()), maps, anchors, rule, clip, work);
  const Shape shape = work.boxes.shape;
  const Grid blocks = {dim3(unsigned(shape.w), unsigned(shape.n)), dim3(kThreads),
                       size_t(whole_tiles(shape.c))};
  launch<silence_kernel>(s, blocks, rule, table.shape.w, work);
  top_k(s, work.left(), work.best, work.best_counts);
  launch<write_table_kernel>(s, one_thread_each(table.shape.rows()), work, table);
}

}  // namespace osprey::cuda
