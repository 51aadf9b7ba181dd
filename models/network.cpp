#include "models/network.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "core/log.h"
#include "cuda/runtime.h"
#include "layers/simd/outer_product.h"

namespace osprey {

Network::Network(std::vector<Section> sections, NetworkOptions options) : options_(options) {
  if (sections.empty()) fail("the .cfg has no sections");
  net_ = read_net_section(sections[0], options.lenient);
  if (sections.size() == 1) sections[0].fail(sections[0].line, "no layer follows");
  std::vector<std::string> known;
  for (const LayerType* type : layer_types()) known.push_back(type->name);
  open_device(sections[0]);

  for (size_t s = 1; s < sections.size(); ++s) {
    nodes_.emplace_back();
    Node& node = nodes_.back();
    node.section = std::move(sections[s]);
    node.type = find_layer_type(node.section.name);
    if (!node.type) {
      const std::string why = why_unsupported(node.section.name);
      node.section.fail(node.section.line,
                        why.empty() ? "unknown section" + did_you_mean(node.section.name, known) : why);
    }
    node.layer = node.type->make();
    Keys keys(&node.section, options.lenient);
    common_keys(keys, node);
    node.layer->keys(keys);
    keys.finish();
    const int layer = int(nodes_.size()) - 1;
    for (const std::string& reference : node.layer->sources())
      node.inputs.push_back(resolve(layer, reference, node.section.find("layers") ? "layers" : "from"));
    node.owner = owner_of_parameters(layer);
  }
  freezing_ = freezing_at(std::numeric_limits<int64_t>::max());
}

Network::~Network() {
  if (stream_.device != Device::cpu) cuda::release_stream(stream_);
}

void Network::open_device(const Section& net) {
  BuildOptions& build = options_.build;
  const Precision precision = options_.precision.value_or(net_.precision);
  build.allow_tf32 = precision == Precision::tf32;
  if (build.device == Device::cpu) {
    if (precision == Precision::tf32)
      fail("{}: precision=tf32 needs --device cuda or --device emulated: the CPU computes in fp32 or bf16",
           net.file);
    build.bf16_products = precision == Precision::bf16;
    if (build.bf16_products && !simd::has_bf16_products())
      fail("{}: precision=bf16: this processor has no instruction for it (avx512_bf16): take fp32", net.file);
    return;
  }
  build.precision = precision == Precision::bf16 ? Type::bf16 : Type::f32;
  stream_ = cuda::make_stream();
}

void common_keys(Keys& keys, Node& node) {
  keys.text("name", node.name, "").help("a name by which other sections may refer to this layer");
  keys.texts("from", node.layer->from)
      .help("the layer or layers it reads: index, negative = relative, or name");
  keys.real("learning_rate", node.rate, 1).at_least(0).help("factor of the learning rate for this layer");
  keys.text("share", node.share, "")
      .help("an earlier layer of the same type: its parameters are used here, too, and trained by both");
  std::string share_index;
  keys.text("share_index", share_index, "").help("Darknet's word for share");
  if (node.share.empty()) node.share = share_index;
  keys.integer("stopbackward", node.stop_backward, 0)
      .at_least(0)
      .help("1: this layer and all before it are not trained; more: not before this iteration");
  keys.integer("dont_update", node.dont_update, 0)
      .at_least(0)
      .help("this layer alone is not trained up to this iteration");
  keys.integer("burnin_update", node.burnin_update, 0)
      .at_least(0)
      .help("this layer alone is not trained before this many times burn_in iterations");
  keys.flag("freeze", node.freeze, false)
      .help("1: nothing of this layer changes in training, the statistics of its batch norm included");
  keys.flag("train_only_bn", node.train_only_bn, false)
      .help("1: of this layer and all before it only batch norm is trained");
  keys.flag("onlyforward", node.only_forward, false).help("1: no gradient passes this layer");
  keys.flag("dontload", node.dont_load, false).help("1: the .weights file has nothing for this layer");
  keys.flag("dontloadscales", node.dont_load_scales, false)
      .help("1: the .weights file has no batch-norm scales, means and variances for this layer");
}

int Network::resolve(int layer, const std::string& reference, const char* key) const {
  const Section& section = nodes_[layer].section;
  const int line = section.line_of(key);
  int index = 0;
  const auto [end, error] = std::from_chars(reference.data(), reference.data() + reference.size(), index);
  if (error != std::errc() || end != reference.data() + reference.size()) {
    std::vector<std::string> names;
    for (int i = 0; i < layer; ++i) {
      if (nodes_[i].name == reference) return i;
      if (!nodes_[i].name.empty()) names.push_back(nodes_[i].name);
    }
    section.fail(line, fmt::format("no layer before this one is named `{}`{}", reference,
                                   did_you_mean(reference, names)));
  }
  const int target = index < 0 ? layer + index : index;
  if (target == kInput && index == -1) return kInput;
  if (target < 0 || target >= layer)
    section.fail(
        line,
        fmt::format("`{}` refers to layer {}, but this is layer {}: only layers 0 to {} stand before it",
                    reference, target, layer, layer - 1));
  return target;
}

// What is said of the parameters themselves is said where they belong.
int Network::owner_of_parameters(int layer) const {
  const Node& node = nodes_[layer];
  if (node.share.empty()) return layer;
  const int named = resolve(layer, node.share, "share");
  const int line = node.section.line_of("share");
  if (named < 0) node.section.fail(line, "the network's input has no parameters");
  if (nodes_[named].type != node.type)
    node.section.fail(line, fmt::format("`{}` is a [{}]: only layers of one type share parameters",
                                        node.share, nodes_[named].type->name));
  for (const char* key :
       {"learning_rate", "dontload", "dontloadscales", "dont_update", "burnin_update", "freeze"})
    if (node.section.find(key))
      node.section.fail(
          node.section.line_of(key),
          fmt::format("{} belongs to `{}`, whose parameters this layer shares", key, node.share));
  return nodes_[named].owner;
}

std::string Network::where(int layer) const {
  const Section& s = nodes_[layer].section;
  return fmt::format("layer {} [{}], {}:{}", layer, s.name, s.file, s.line);
}

bool Network::takes_proposals() const {
  return std::any_of(nodes_.begin(), nodes_.end(),
                     [](const Node& node) { return std::string(node.type->name) == "proposals"; });
}

std::vector<Head*> Network::heads() const {
  std::vector<Head*> heads;
  for (const Node& node : nodes_)
    if (Head* head = node.layer->head()) heads.push_back(head);
  return heads;
}

}  // namespace osprey
