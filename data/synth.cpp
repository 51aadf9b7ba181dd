#include "data/synth.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "data/synth_shapes.h"
#include "data/text_file.h"

namespace osprey {
namespace {

namespace fs = std::filesystem;

// Lengths in pixels; a share of the smaller kinds is tiny.
struct Sizes {
  float least, most, tiny_least, tiny_share;
};
constexpr Sizes kSizes[] = {
    {13, 26, 7, .15f}, {24, 46, 16, .1f}, {22, 56, 12, .1f}, {24, 54, 16, .1f}, {13, 38, 6, .15f}};

// The box of a thing that lies obliquely is shorter than the thing; these keep it within 4 to 12 pixels.
constexpr Sizes kTinySizes[] = {
    {5, 9, 4.5f, .3f}, {6, 12, 5, .1f}, {6, 12, 5, .2f}, {6, 11, 5, .2f}, {5, 10, 4, .2f}};

float draw_length(SynthKind kind, Thing thing, Random& random) {
  const Sizes& s = (kind == SynthKind::tiny ? kTinySizes : kSizes)[int(thing)];
  const bool tiny = random.chance(s.tiny_share);
  return tiny ? random.uniform(s.tiny_least, s.least) : random.uniform(s.least, s.most);
}

// Half the sides of the box around a thing in its pose, a little generous.
Point reach(Thing thing, const Pose& pose) {
  const float width[] = {.47f, .3f, .28f, .96f, 1};
  const float c = std::abs(std::cos(pose.angle)), s = std::abs(std::sin(pose.angle)), w = width[int(thing)];
  return {pose.length * (c + w * s) / 2 + 1, pose.length * (s + w * c) / 2 + 1};
}

// Ships need water all around; everything else needs land, unless it is on a road.
bool stands_well(const Ground& ground, Thing thing, const Pose& pose, const Point& half) {
  const bool wet = thing == Thing::ship;
  for (const float x : {-1.f, 0.f, 1.f})
    for (const float y : {-1.f, 0.f, 1.f})
      if (ground.is_water(pose.x + x * half.x, pose.y + y * half.y) != wet) return false;
  return true;
}

Pose draw_pose(const Ground& ground, SynthKind kind, Thing thing, Random& random, bool& on_road) {
  const float w = float(ground.image.width), h = float(ground.image.height);
  Pose pose = {random.uniform(0, w), random.uniform(0, h), draw_length(kind, thing, random),
               random.uniform(0, 6.2831853f)};
  on_road = (thing == Thing::car || thing == Thing::truck) && !ground.roads.empty() && random.chance(.6f);
  if (on_road) {
    const Road& road = ground.roads[size_t(random.below(int(ground.roads.size())))];
    const bool back = random.chance(.5f);
    const float c = std::cos(road.angle), s = std::sin(road.angle),
                along = random.uniform(-.7f, .7f) * std::max(w, h);
    const float across = (back ? -1.f : 1.f) * road.width * .23f;
    pose.x = road.at.x + c * along - s * across;
    pose.y = road.at.y + s * along + c * across;
    pose.angle = road.angle + (back ? 3.1415927f : 0) + random.uniform(-.06f, .06f);
    pose.length = std::min(pose.length, road.width * (thing == Thing::car ? .85f : 1.4f));
  }
  return pose;
}

void place_thing(Ground& ground, SynthKind kind, std::vector<Box>& taken, std::vector<Label>& labels,
                 Point light, Random& random) {
  const float w = float(ground.image.width), h = float(ground.image.height);
  Thing thing = Thing::car;
  for (int attempt = 0; attempt < 48; ++attempt) {
    // A kind gets a few places to try, or large ones would be rare; not all, as a scene may have no water.
    if (attempt % 12 == 0) thing = Thing(random.below(int(synth_names().size())));
    bool on_road = false;
    const Pose pose = draw_pose(ground, kind, thing, random, on_road);
    const Point half = reach(thing, pose);
    const Box room = {pose.x - half.x - 2, pose.y - half.y - 2, pose.x + half.x + 2, pose.y + half.y + 2};
    if (room.x1 < 0 || room.y1 < 0 || room.x2 > w || room.y2 > h) continue;
    if (std::any_of(taken.begin(), taken.end(), [&](const Box& b) { return intersection(b, room) > 0; }))
      continue;
    if (!on_road && !stands_well(ground, thing, pose, half)) continue;
    const float tall = thing == Thing::tank ? .2f : thing == Thing::plane ? .12f : .08f;
    const float fall = std::max(1.f, pose.length * tall);
    const Box box = paint(ground.image, draw_thing(thing, random), pose, {light.x * fall, light.y * fall});
    if (area(box) <= 0) continue;
    taken.push_back(room);
    Label label;
    label.class_id = int(thing);
    label.box = centre(scaled(box, 1 / w, 1 / h));
    label.area = area(box);
    labels.push_back(label);
    return;
  }
}

void check(const SynthOptions& o) {
  if (o.width < 32 || o.height < 32 || o.width > 8192 || o.height > 8192)
    fail("synthetic images are 32x32 to 8192x8192, not {}x{}", o.width, o.height);
  if (o.min_objects < 0 || o.max_objects < o.min_objects || o.max_objects > 100)
    fail("the number of objects must be a range within 0..100, not {}..{}", o.min_objects, o.max_objects);
}

// Where things go in a format's folder.
struct Layout {
  fs::path root;
  bool voc, coco;

  std::string name(const char* split, int i) const { return fmt::format("{}_{:05}", split, i); }
  std::string image_folder(const char* split) const { return voc ? "JPEGImages" : split; }
  std::string image(const char* split, int i) const {
    return image_folder(split) + "/" + name(split, i) + ".jpg";
  }
};

void write_labels(const Layout& layout, const SynthOptions& o, const char* split, int i,
                  const std::vector<Label>& labels) {
  if (layout.voc)
    write_voc_labels((layout.root / "Annotations" / (layout.name(split, i) + ".xml")).string(),
                     layout.name(split, i) + ".jpg", o.width, o.height, labels, synth_names());
  else
    write_darknet_labels((layout.root / split / (layout.name(split, i) + ".txt")).string(), labels);
}

void write_split(const Layout& layout, const SynthOptions& o, const char* split, int count, int64_t first) {
  CocoSet coco{synth_names(), {1, 2, 3, 4, 5}, std::vector<CocoImage>(size_t(count)), {}};
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int i = int(begin); i < int(end); ++i) {
      SynthScene scene = draw_scene(o, first + i);
      save_image((layout.root / layout.image(split, i)).string(), scene.image);
      if (layout.coco)
        coco.images[size_t(i)] = {i + 1, layout.name(split, i) + ".jpg", o.width, o.height,
                                  std::move(scene.labels)};
      else
        write_labels(layout, o, split, i, scene.labels);
    }
  });
  std::string list;
  for (int i = 0; i < count; ++i)
    list += (layout.voc ? layout.name(split, i) : layout.image(split, i)) + "\n";
  if (layout.coco)
    write_coco((layout.root / "annotations" / fmt::format("instances_{}.json", split)).string(), coco);
  else
    write_file((layout.root /
                (layout.voc ? fmt::format("ImageSets/Main/{}.txt", split) : fmt::format("{}.txt", split)))
                   .string(),
               list);
}

// With `root`, a file of the same name in the current folder cannot be meant by mistake.
std::string data_file(const Layout& layout) {
  std::string text =
      fmt::format("classes = {}\nroot = .\nnames = synth.names\nbackup = backup\n", synth_names().size());
  if (layout.voc)
    return text +
           "format = voc\ntrain = ImageSets/Main/train.txt\nvalid = ImageSets/Main/valid.txt\n"
           "images = JPEGImages\nannotations = Annotations\n";
  if (layout.coco)
    return text +
           "format = coco\ntrain_images = train\nvalid_images = valid\n"
           "train_annotations = annotations/instances_train.json\n"
           "valid_annotations = annotations/instances_valid.json\n";
  return text + "train = train.txt\nvalid = valid.txt\n";
}

}  // namespace

const std::vector<std::string>& synth_names() {
  static const std::vector<std::string> names = {"car", "truck", "ship", "plane", "tank"};
  return names;
}

SynthOptions synth_options(SynthKind kind) {
  SynthOptions options;
  options.kind = kind;
  if (kind == SynthKind::tiny) options.min_objects = 20, options.max_objects = 40;
  return options;
}

SynthScene draw_scene(const SynthOptions& o, int64_t index) {
  check(o);
  Random random(o.seed, Purpose::synth, 0, uint64_t(index));
  Ground ground = draw_ground(o.width, o.height, random);
  const float sun = random.uniform(0, 6.2831853f);
  const Point light = {std::cos(sun), std::sin(sun)};
  const float places = float(o.width) * float(o.height) / 65536.f;
  const int wanted = o.min_objects + random.below(o.max_objects - o.min_objects + 1);
  const int count = std::max(o.min_objects > 0 ? 1 : 0, int(std::lround(float(wanted) * places)));
  SynthScene scene;
  std::vector<Box> taken;
  for (int i = 0; i < count; ++i) place_thing(ground, o.kind, taken, scene.labels, light, random);
  scatter_clutter(ground, taken, light, random);
  if (o.kind == SynthKind::tiny) scatter_tiny_clutter(ground, taken, light, random);
  photograph(ground.image, random);
  scene.image = std::move(ground.image);
  return scene;
}

void write_synth(const SynthOptions& o, const std::string& folder) {
  check(o);
  if (o.format != "darknet" && o.format != "voc" && o.format != "coco")
    fail("--format is darknet, voc or coco, not `{}`", o.format);
  if (o.images < 1 || o.valid_images < 1 || o.images > 10'000'000 || o.valid_images > 10'000'000)
    fail("a set needs 1 to 10000000 images for training and for validation, not {} and {}", o.images,
         o.valid_images);
  const Layout layout{folder, o.format == "voc", o.format == "coco"};
  try {
    for (const char* split : {"train", "valid"})
      fs::create_directories(layout.root / layout.image_folder(split));
    if (layout.voc) fs::create_directories(layout.root / "Annotations");
    if (layout.voc) fs::create_directories(layout.root / "ImageSets/Main");
    if (layout.coco) fs::create_directories(layout.root / "annotations");
  } catch (const fs::filesystem_error& e) {
    fail("{}: cannot make the folder: {}", folder, e.code().message());
  }
  write_split(layout, o, "train", o.images, 0);
  write_split(layout, o, "valid", o.valid_images, o.images);
  std::string names;
  for (const std::string& name : synth_names()) names += name + "\n";
  write_file((layout.root / "synth.names").string(), names);
  write_file((layout.root / "synth.data").string(), data_file(layout));
}

}  // namespace osprey
