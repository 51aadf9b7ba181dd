// What layers of a network that never trains do for each other: sums and poolings that convolutions take
// over, convolutions that run as chains, and tensors that are slices of others.
#include "layers/convolution_chain.h"
#include "models/network.h"

namespace osprey {

std::vector<int> Network::readers_of_each() const {
  std::vector<int> readers(nodes_.size(), 0);
  for (const Node& node : nodes_)
    for (int i : node.inputs)
      if (i >= 0) ++readers[size_t(i)];
  return readers;
}

// An addition whose first summand is made by a convolution for it alone is done by that convolution, and the
// [shortcut] becomes another name for its output. True if there was any.
bool Network::absorb_sums() {
  bool any = false;
  const std::vector<int> readers = readers_of_each();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& sum = nodes_[i];
    const auto activation = sum.layer->plain_sum();
    if (!activation || sum.inputs.size() != 2) continue;
    const int other = sum.inputs[1];
    int producer = sum.inputs[0];
    if (producer != int(i) - 1) continue;
    // [dropout] does nothing here.
    while (producer >= 0 && readers[producer] == 1 && nodes_[producer].type->name == std::string("dropout"))
      producer = nodes_[producer].inputs[0];
    if (producer < 0 || readers[producer] != 1 || other < 0 || other >= producer) continue;
    Node& convolution = nodes_[producer];
    if (convolution.inputs.size() != 1 || !convolution.layer->absorb_sum(*activation)) continue;
    convolution.inputs.push_back(other);
    sum.inputs = {sum.inputs[0]};
    sum.absorbed_by = producer;
    any = true;
  }
  return any;
}

// The same of max pooling that is all that reads a convolution: of its output little is ever in memory.
bool Network::absorb_pools() {
  bool any = false;
  const std::vector<int> readers = readers_of_each();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& pool = nodes_[i];
    const auto windows = pool.layer->plain_pool();
    if (!windows) continue;
    const int producer = pool.inputs[0];
    if (producer < 0 || readers[size_t(producer)] != 1 || nodes_[size_t(producer)].inputs.size() != 1 ||
        !nodes_[size_t(producer)].layer->absorb_pool(*windows))
      continue;
    pool.absorbed_by = producer;
    any = true;
  }
  return any;
}

// Convolutions in narrow groups and their neighbours, each of which is read by the next alone, and which
// together make more than the caches hold: they become chains. The last of a chain gets the input of the
// first. True if there was any.
bool Network::chain_convolutions() {
  using Kind = ChainedLayer::Kind;
  bool any = false;
  const std::vector<int> readers = readers_of_each();
  const auto layer = [&](size_t i) { return dynamic_cast<ChainedLayer*>(nodes_[i].layer.get()); };
  const auto kind = [&](size_t i) { return layer(i) ? layer(i)->kind() : Kind::none; };
  // Wide ones side by side would read all their weights for every band.
  const auto follows = [&](size_t i) {
    const Kind before = kind(i - 1), here = kind(i);
    return before != Kind::none && here != Kind::none && (before == Kind::narrow || here == Kind::narrow) &&
           nodes_[i].inputs[0] == int(i) - 1 && readers[i - 1] == 1;
  };
  for (size_t first = 0, end; first < nodes_.size(); first = end) {
    for (end = first + 1; end < nodes_.size() && follows(end);) ++end;
    if (end - first < 2) continue;
    std::vector<const ChainedLayer*> before;
    for (size_t i = first; i + 1 < end; ++i) {
      before.push_back(layer(i));
      nodes_[i].chained_to = int(end) - 1;
    }
    layer(end - 1)->take_over(std::move(before));
    nodes_[end - 1].inputs.push_back(nodes_[first].inputs[0]);
    any = true;
  }
  return any;
}

// A [route] that puts channels of several layers side by side finds them there: they make slices of its
// output. And one that takes a part of a layer's channels is a slice of that layer's output. So it is where
// all that read the slice can; the others are copied. True if there was any.
bool Network::cut_slices() {
  bool any = false;
  std::vector<std::vector<std::pair<size_t, int>>> readers(nodes_.size());  // with the number of the input
  for (size_t i = 0; i < nodes_.size(); ++i)
    for (size_t k = 0; k < nodes_[i].inputs.size(); ++k)
      if (nodes_[i].inputs[k] >= 0) readers[size_t(nodes_[i].inputs[k])].push_back({i, int(k)});
  // The layer whose output is this one's, too, or -1.
  const auto equal = [&](size_t i) {
    return nodes_[i].absorbed_by >= 0 ? nodes_[i].inputs[0] : nodes_[i].alias;
  };
  const auto read_as_slice = [&](auto&& self, size_t tensor, size_t concatenation) -> bool {
    if (is_read(tensor)) return false;
    for (const auto& [reader, k] : readers[tensor]) {
      if (reader == concatenation) continue;
      if (nodes_[reader].chained_to >= 0) return false;
      const bool takes_it = equal(reader) == int(tensor) ? self(self, reader, concatenation)
                                                         : nodes_[reader].layer->reads_slice(k);
      if (!takes_it) return false;
    }
    return true;
  };
  const auto cut = [&](int layer, Node::Slice slice) { nodes_[size_t(layer)].slice = slice, any = true; };
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const Node& node = nodes_[i];
    const auto parts = node.layer->concatenates();
    if (!parts || equal(i) >= 0) continue;
    if (node.inputs.size() == 1) {
      if (node.inputs[0] >= 0 && read_as_slice(read_as_slice, i, nodes_.size()))
        cut(int(i), {node.inputs[0], parts->group * node.output.c});
      continue;
    }
    int first = 0;
    for (int from : node.inputs) {
      const int channels = from < 0 ? net_.channels : nodes_[size_t(from)].output.c;
      int maker = from;
      while (maker >= 0 && equal(size_t(maker)) >= 0) maker = equal(size_t(maker));
      if (maker >= 0 && parts->groups == 1 && nodes_[size_t(maker)].slice.of < 0 &&
          nodes_[size_t(maker)].layer->makes_slice() && read_as_slice(read_as_slice, size_t(maker), i))
        cut(maker, {int(i), first});
      first += channels / parts->groups;
    }
  }
  return any;
}

// Of a layer's output, where it is not as many as the channels: else 0.
int Network::pitch_of(int layer) const {
  bool sliced = false;
  for (const Node* node = &nodes_[size_t(layer)];;) {
    sliced |= node->slice.of >= 0;
    const int within = node->slice.of >= 0 ? node->slice.of : node->alias;
    if (within < 0) return sliced ? node->output.c : 0;
    node = &nodes_[size_t(within)];
  }
}

}  // namespace osprey
