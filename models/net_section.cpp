#include "models/net_section.h"

#include <algorithm>
#include <string>
#include <utility>

namespace osprey {
namespace {

constexpr const char* kPolicyNames[] = {"constant", "step",    "steps",  "exp",
                                        "poly",     "sigmoid", "random", "sgdr"};

// One number for each channel, if any are given.
void read_channels(const Section& section, const char* key, const std::vector<float>& given, int channels,
                   float (&values)[Normalisation::kMostChannels]) {
  if (given.empty()) return;
  if (channels > Normalisation::kMostChannels || int(given.size()) != channels)
    section.fail(section.line_of(key),
                 fmt::format("{} must list {} numbers, one for each channel (of at most {}), not {}", key,
                             channels, int(Normalisation::kMostChannels), given.size()));
  std::copy(given.begin(), given.end(), values);
}

void training_keys(Keys& k, NetSection& net) {
  k.real("learning_rate", net.learning_rate, 0.001f)
      .at_least(0)
      .help("the base rate, before burn-in and policy");
  k.real("momentum", net.momentum, 0.9f).between(0, 1).help("of optimizer=sgd and rmsprop");
  k.real("decay", net.decay, 0.0001f)
      .at_least(0)
      .help("weight decay (L2); not for biases and scales of normalisations, save with optimizer=adam");
  k.integer("max_batches", net.max_batches, 0).at_least(0).help("training stops after so many iterations");
  k.integer("burn_in", net.burn_in, 0)
      .at_least(0)
      .help("iterations in which the rate rises, as `warmup` says");
  k.choice("warmup", net.warmup, WarmUp::power, kWarmUpNames)
      .help(
          "power: as (i / burn_in)^power, and then the policy begins; linear, constant: what the policy "
          "says, "
          "times a factor that rises from warmup_start to 1, or is warmup_start");
  k.real("warmup_start", net.warmup_start, 0.001f)
      .between(0, 1)
      .help("warmup=linear, constant: the factor of the first iteration");
  k.choice("policy", net.policy, Policy::constant, kPolicyNames).help("how the rate falls after burn-in");
  k.real("power", net.power, 4).help("exponent of burn-in, of policy=poly and of policy=random");
  k.integers("steps", net.steps)
      .help("policy=steps: the iterations at which the rate is scaled; -1 is from the start");
  k.reals("scales", net.scales).help("policy=steps: the factors, one for each of `steps`");
  k.integer("step", net.step, 1)
      .at_least(1)
      .help("policy=step: iterations between two scalings; policy=sigmoid: the middle");
  k.real("scale", net.scale, 1).help("policy=step: the factor");
  k.real("gamma", net.gamma, 1)
      .help("policy=exp: the factor of each iteration; policy=sigmoid: the steepness");
  k.integer("sgdr_cycle", net.sgdr_cycle, net.max_batches)
      .at_least(0)
      .shown_as("max_batches")
      .help("policy=sgdr: iterations of the first cosine");
  k.integer("sgdr_mult", net.sgdr_mult, 2)
      .at_least(1)
      .help("policy=sgdr: each cycle is so many times longer");
  k.real("learning_rate_min", net.learning_rate_min, 1e-5f)
      .help("policy=sgdr: the rate at the end of a cycle");
}

void optimizer_keys(Keys& k, NetSection& net) {
  k.real("clip_norm", net.clip_norm, 0)
      .at_least(0)
      .help(
          "not 0: gradients, the mean over a batch, are scaled down where the norm of all of them together "
          "is more than this, as PyTorch's clip_grad_norm_ does it");
  bool adam = false;
  k.flag("adam", adam, false).help("1: Darknet's word for optimizer=adam");
  k.choice("optimizer", net.optimizer, adam ? Rule::adam : Rule::sgd, kRuleNames)
      .shown_as("sgd")
      .help(
          "sgd: with momentum; adam: Darknet's, by the sum of a batch's gradients, decay acts on biases too; "
          "adamw: by the mean gradient, decay apart from it; rmsprop: by the mean gradient, with momentum");
  k.flag("nesterov", net.nesterov, false).help("1: optimizer=sgd looks one step of the momentum ahead");
  k.real("B1", net.beta1, 0.9f)
      .between(0, 0.99999)
      .help("optimizer=adam, adamw: how much of the mean gradient stays");
  k.real("B2", net.beta2, 0.999f)
      .between(0, 0.99999)
      .help("optimizer=adam, adamw: how much of the mean squared gradient stays");
  k.real("alpha", net.alpha, 0.99f)
      .between(0, 0.99999)
      .help("optimizer=rmsprop: how much of the mean squared gradient stays");
  k.real("eps", net.epsilon, 1e-6f)
      .more_than(0)
      .help("optimizer=adam, adamw, rmsprop: added to the root of the mean squared gradient");
  k.real("ema_alpha", net.ema_alpha, 0)
      .between(0, 1)
      .help(
          "not 0: from half of the training on, a moving average of the parameters is kept, this much of "
          "which stays in an iteration; 1000 iterations before the end it takes their place");
}

void augmentation_keys(Keys& k, NetSection& net) {
  k.real("saturation", net.saturation, 1).more_than(0).help("saturation is multiplied by 1/s .. s");
  k.real("exposure", net.exposure, 1).more_than(0).help("brightness is multiplied by 1/e .. e");
  k.real("hue", net.hue, 0).between(0, 1).help("hue is shifted by -hue .. hue of the whole circle");
  k.flag("flip", net.flip, true).help("1: every second image is mirrored");
  k.flag("letter_box", net.letter_box, false)
      .help("1: images keep their aspect ratio, in training and detection");
  k.flag("mosaic", net.mosaic, false).help("1: every second sample is made of four images");
  k.flag("mosaic_bound", net.mosaic_bound, false).help("1: boxes of a mosaic are clipped to their quarter");
  k.flag("mixup", net.mixup, false).help("1: half of the samples, mosaics apart, are the mean of two");
  k.real("angle", net.angle, 0).between(0, 180).help("images are turned by -angle .. angle degrees");
  k.integer("blur", net.blur, 0)
      .at_least(0)
      .help(
          "not 0: a third of the images is blurred but for its objects, a third by a Gaussian of this side");
  k.real("gaussian_noise", net.gaussian_noise, 0)
      .between(0, 127)
      .help("half of the images get noise of this deviation, in levels of 0..255");
  k.real("repeat_threshold", net.repeat_threshold, 0)
      .between(0, 1)
      .help(
          "images with a class that less than this share of the images show are seen more often in an epoch: "
          "(threshold / share)^repeat_power times");
  k.real("repeat_power", net.repeat_power, 0.5f)
      .between(0, 1)
      .help("1 with repeat_threshold=1: every class of a classifier's set is seen equally often");
  k.integer("resize_step", net.resize_step, 32)
      .at_least(1)
      .help("sizes of multi-scale training are multiples of this");
}

void classifier_keys(Keys& k, NetSection& net) {
  k.integer("min_crop", net.min_crop, std::max(net.width, net.height))
      .at_least(1)
      .shown_as("the input's larger side")
      .help(
          "classifiers: pixels of an image's shorter side, of which a window of the input's size is taken,");
  k.integer("max_crop", net.max_crop, std::max(2 * std::max(net.width, net.height), net.min_crop))
      .at_least(1)
      .shown_as("twice that side")
      .help("... at least and at most");
  k.real("aspect", net.aspect, 1)
      .more_than(0)
      .help("classifiers: the aspect ratio is multiplied by 1/a .. a");
  k.flag("cutmix", net.cutmix, false)
      .help(
          "classifiers: 1: in half of the samples a rectangle is another image's, and so is its share of "
          "the target");
  k.real("label_smooth_eps", net.label_smooth_eps, 0)
      .between(0, 0.999)
      .help("classifiers: this part of the target goes to the other classes");
}

}  // namespace

void net_keys(Keys& k, NetSection& net) {
  k.integer("batch", net.batch, 1).at_least(1).help("images per weight update");
  k.integer("subdivisions", net.subdivisions, 1).at_least(1).help("mini-batches per weight update");
  k.integer("width", net.width, 0).required().between(1, 65536).help("of the input, in pixels");
  k.integer("height", net.height, 0).required().between(1, 65536).help("of the input, in pixels");
  k.integer("channels", net.channels, 3)
      .between(1, 65536)
      .help(
          "of the input: 3 is RGB, 1 is grey; images of up to 64 are TIFF or .npy. hue and saturation change "
          "3 channels, exposure any number");
  k.reals("mean", net.mean)
      .shown_as("0")
      .help(
          "of each channel, in the order RGB and in units of 0..1: subtracted from the images on every "
          "device. PyTorch's weights were trained with .485,.456,.406");
  k.reals("deviation", net.deviation)
      .more_than(0)
      .shown_as("1")
      .help("of each channel: what is left is divided by this. PyTorch's: .229,.224,.225");
  k.choice("precision", net.precision, Precision::fp32, kPrecisionNames)
      .help(
          "of activations and of the weights' copy, on a GPU; tf32: fp32 with convolutions that round. On "
          "the CPU bf16 is of the factors of convolutions, and of activations where all layers around take "
          "it");
  training_keys(k, net);
  optimizer_keys(k, net);
  augmentation_keys(k, net);
  classifier_keys(k, net);

  for (const char* key : {"dynamic_minibatch", "contrastive", "unsupervised", "track", "time_steps"}) {
    float value = 0;
    const float neutral = std::string(key) == "time_steps" ? 1.0f : 0.0f;
    k.real(key, value, neutral).help("not supported in training yet; no effect on detection");
    if (value != neutral)
      net.training_faults.push_back(
          {key, fmt::format("{} is not supported in training yet: remove it", key)});
  }
  using Ignored = std::pair<const char*, const char*>;
  for (const auto& [key, why] :
       {Ignored{"center", "Darknet uses it in classifier training only"},
        Ignored{"min_ratio", "Darknet uses it in classifier training only"},
        Ignored{"max_ratio", "Darknet uses it in classifier training only"},
        Ignored{"inputs", "the input is width x height x channels"},
        Ignored{"max_epochs", "Darknet does not read it either: max_batches counts"},
        Ignored{"seen", "Darknet does not read it either"},
        Ignored{"seq_scales", "it belongs to recurrent networks"},
        Ignored{"sequential_subdivisions", "it belongs to recurrent networks"},
        Ignored{"augment_speed", "it belongs to recurrent networks"},
        Ignored{"optimized_memory", "memory is planned before the first step"},
        Ignored{"workspace_size_limit_MB", "memory is planned before the first step"},
        Ignored{"try_fix_nan", "a value that is not finite stops the training and is named"},
        Ignored{"loss_scale", "losses are computed in fp32"},
        Ignored{"use_cuda_graph", "it has no effect on the CPU"},
        Ignored{"max_chart_loss", "the chart scales itself"},
        Ignored{"show_receptive_field", "it has no effect on results"},
        Ignored{"random", "the key of the last detection layer counts"},
        Ignored{"clip", "Darknet uses it on GPUs only"},
        Ignored{"notruth", "it has no effect on detectors"},
        Ignored{"weights_reject_freq", "weights are never rejected here"},
        Ignored{"equidistant_point", "no label is rejected by its loss here"},
        Ignored{"badlabels_rejection_percentage", "no label is rejected by its loss here"},
        Ignored{"num_sigmas_reject_badlabels", "no label is rejected by its loss here"},
        Ignored{"adversarial_lr", "images are not attacked in training here"},
        Ignored{"attention", "it draws pictures of attacked images only"},
        Ignored{"contrastive_jit_flip", "it belongs to contrastive=1"},
        Ignored{"contrastive_color", "it belongs to contrastive=1"}})
    k.ignored(key, why);
}

namespace {

void check_optimizer(const Section& section, const NetSection& net) {
  const Entry* adam = section.find("adam");
  const bool wants_adam = adam && std::stod(adam->value) != 0;
  if (wants_adam && net.optimizer != Rule::adam)
    section.fail(section.line_of("optimizer"),
                 fmt::format("optimizer={} contradicts adam=1", kRuleNames[int(net.optimizer)]));
  if (net.nesterov && net.optimizer != Rule::sgd)
    section.fail(section.line_of("nesterov"),
                 fmt::format("nesterov=1 is for optimizer=sgd, not {}", kRuleNames[int(net.optimizer)]));
  if (net.nesterov && net.momentum == 0)
    section.fail(section.line_of("nesterov"), "nesterov=1 needs a momentum, but momentum=0");
}

}  // namespace

NetSection read_net_section(Section& section, bool lenient) {
  if (section.name != "net" && section.name != "network")
    section.fail(section.line, "the first section must be [net]");
  NetSection net;
  Keys keys(&section, lenient);
  net_keys(keys, net);
  keys.finish();
  net.normalisation.on = !net.mean.empty() || !net.deviation.empty();
  read_channels(section, "mean", net.mean, net.channels, net.normalisation.mean);
  read_channels(section, "deviation", net.deviation, net.channels, net.normalisation.deviation);
  // Many a .cfg has batch=1 for detecting beside the subdivisions of its training.
  if (net.batch % net.subdivisions != 0)
    net.training_faults.push_back(
        {"subdivisions", fmt::format("subdivisions={} must divide batch={}", net.subdivisions, net.batch)});
  check_optimizer(section, net);
  if (net.max_crop < net.min_crop)
    section.fail(section.line_of("max_crop"),
                 fmt::format("max_crop={} is below min_crop={}", net.max_crop, net.min_crop));
  if (net.policy == Policy::steps && net.steps.empty())
    section.fail(section.line_of("policy"), "policy=steps needs the keys `steps` and `scales`");
  if (net.policy == Policy::steps && net.scales.size() < net.steps.size())
    section.fail(section.line_of("scales"),
                 fmt::format("{} steps need as many scales, not {}", net.steps.size(), net.scales.size()));
  return net;
}

}  // namespace osprey
