// osprey keys: the keys of a section, as docs/cfg.md has them; both come from the layers' own descriptions.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "apps/commands.h"
#include "core/error.h"
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
  CLI::App* command = app.add_subcommand("keys", "Explain the keys of a .cfg section");
  command->add_option("section", a->section, "such as convolutional; without one, the sections are listed");
  command->add_flag("--markdown", a->markdown, "all sections, as docs/cfg.md");
  command->callback([a] { print_keys(a->section, a->markdown); });
}

}  // namespace osprey
