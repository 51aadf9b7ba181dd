// osprey keys: the keys of a section, as docs/cfg.md has them, or of the sections of a file with their
// values; all come from the layers' own descriptions.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "core/error.h"
#include "core/file.h"
#include "models/network.h"

namespace osprey {
namespace {

struct Table {
  std::string title, help;
  std::vector<KeyDocumentation> keys;
};

Table net_table() {
  Keys keys(nullptr);
  NetSection net;
  net_keys(keys, net);
  return {"net", "the input and the training; the first section", keys.documentation()};
}

Table common_table() {
  Keys keys(nullptr);
  Node node;
  node.layer = layer_types().front()->make();
  common_keys(keys, node);
  return {"every section", "keys that all sections but [net] have", keys.documentation()};
}

Table layer_table(const LayerType& type) {
  Keys keys(nullptr);
  type.make()->keys(keys);
  return {type.name, type.help, keys.documentation()};
}

std::vector<Table> all_tables() {
  std::vector<Table> tables = {net_table(), common_table()};
  for (const LayerType* type : layer_types()) tables.push_back(layer_table(*type));
  return tables;
}

void print_text(const Table& table) {
  fmt::print("[{}]: {}\n", table.title, table.help);
  size_t wide = 3, type = 4, otherwise = 7;
  for (const KeyDocumentation& k : table.keys) {
    wide = std::max(wide, k.key.size());
    type = std::max(type, k.type.size());
    otherwise = std::max(otherwise, k.otherwise.size());
  }
  for (const KeyDocumentation& k : table.keys)
    fmt::print("  {:<{}}  {:<{}}  {:<{}}  {}{}\n", k.key, wide, k.type, type, k.otherwise, otherwise, k.help,
               k.bounds.empty() ? "" : " (" + k.bounds + ")");
  if (table.keys.empty()) fmt::print("  no keys of its own\n");
}

void print_markdown(const Table& table) {
  fmt::print("\n## {}\n\n{}\n\n", table.title == "every section" ? table.title : "[" + table.title + "]",
             table.help);
  if (table.keys.empty()) return fmt::print("No keys of its own.\n");
  fmt::print("| key | type | default | bounds | meaning |\n| --- | --- | --- | --- | --- |\n");
  for (const KeyDocumentation& k : table.keys)
    fmt::print("| `{}` | {} | {} | {} | {} |\n", k.key, k.type, k.otherwise, k.bounds, k.help);
}

// What the section says, and what counts where it says nothing. Of keys that few sections have (`rare`), and
// of those that have no effect or are refused, only those that it has.
void print_values(const Section& section, const std::vector<KeyDocumentation>& keys, bool rare) {
  for (const KeyDocumentation& k : keys) {
    const Entry* given = section.find(k.key);
    if (!given && (rare || k.type == "any" || k.help.starts_with("not supported"))) continue;
    fmt::print("  {:<22} {:<20} {:<9} {}{}\n", k.key, given ? given->value : k.otherwise,
               given ? fmt::format("line {}", given->line) : "default", k.help,
               !given || k.otherwise.empty() ? ""
               : k.otherwise == "required"   ? " (required)"
                                             : fmt::format(" (default: {})", k.otherwise));
  }
}

void print_cfg(const std::string& path) {
  std::vector<Section> sections = read_cfg(path);
  for (size_t i = 0; i < sections.size(); ++i) {
    Section& section = sections[i];
    Keys own(&section, true), common(&section, true);
    if (i == 0) {
      fmt::print("{}:{}: [{}]\n", path, section.line, section.name);
      NetSection net;
      net_keys(own, net);
    } else {
      Node node;
      node.type = find_layer_type(section.name);
      if (!node.type)
        section.fail(section.line, "there is no such section: osprey keys lists those that there are");
      fmt::print("\n{}:{}: layer {}, [{}]\n", path, section.line, i - 1, section.name);
      node.layer = node.type->make();
      common_keys(common, node);
      node.layer->keys(own);
    }
    print_values(section, own.documentation(), false);
    print_values(section, common.documentation(), true);
    own.finish();
  }
}

void print_keys(const std::string& section, bool markdown) {
  if (markdown) {
    fmt::print(
        "# Sections and keys of .cfg files\n\nWritten by `osprey keys --markdown` from the layers' own "
        "descriptions; do not edit.\n");
    for (const Table& table : all_tables()) print_markdown(table);
    return;
  }
  if (section == "net" || section == "network") return print_text(net_table());
  std::vector<std::string> known = {"net"};
  for (const LayerType* type : layer_types()) known.push_back(type->name);
  if (section.empty()) return fmt::print("sections: {}\n", fmt::join(known, " "));
  const LayerType* type = find_layer_type(section);
  if (!type && (section.ends_with(".cfg") || file_exists(section))) return print_cfg(section);
  if (!type) fail("unknown section [{}]{}", section, did_you_mean(section, known));
  print_text(layer_table(*type));
  print_text(common_table());
}

}  // namespace

void add_keys(CLI::App& app) {
  struct Arguments {
    std::string section;
    bool markdown = false;
  };
  auto a = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("keys", "Explain the keys of a .cfg section, or of a .cfg file");
  command->add_option(
      "section", a->section,
      "such as convolutional; or a .cfg file: all keys with the values that count, given or not; "
      "without either, the sections are listed");
  command->add_flag("--markdown", a->markdown, "all sections, as docs/cfg.md");
  command->callback([a] { print_keys(a->section, a->markdown); });
}

}  // namespace osprey
