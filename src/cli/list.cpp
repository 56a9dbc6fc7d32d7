#include "core/json.h"
#include "core/try.h"
#include "src/cli/cli.h"
#include "src/cli/table.h"

namespace convopt::cli {
namespace {

struct ListArguments {
  ContextOptions context;
  std::string op = "conv";
  bool json = false;
};

std::string arrow(const PrimitiveInfo& info) {
  if (info.plain) return "any rank";
  const std::string from(to_string(info.input_layout)), to(to_string(info.output_layout));
  return from == to ? from : from + " > " + to;
}

Result<void> list_action(const ListArguments& request) {
  CONVOPT_TRY(const auto context, request.context.context());
  CONVOPT_TRY(const auto registry, Registry::create(context));
  // The registry holds what can run at this level, so everything it lists is available.
  Json json = Json::array();
  Table table({{"primitive"}, {"family"}, {"layout"}, {"description"}});
  for (const Primitive* primitive : registry->primitives()) {
    const PrimitiveInfo& info = primitive->info();
    if (request.op != "all" && to_string(info.op) != request.op) continue;
    table.add_row({info.name, info.family, arrow(info), info.description});
    Json entry = {{"name", info.name},
                  {"family", info.family},
                  {"description", info.description},
                  {"op", to_string(info.op)},
                  {"input_layout", to_string(info.input_layout)},
                  {"output_layout", to_string(info.output_layout)},
                  {"available", true}};
    if (info.plain) entry["plain"] = true;
    json.push_back(std::move(entry));
  }
  if (json.empty()) {
    return make_error(ErrorCode::usage, "--op " + request.op + " is no operation with primitives");
  }
  return write_output("", request.json ? json.dump(1) + "\n" : table.text());
}

}  // namespace

void add_list(CLI::App& app, Action& action) {
  auto request = std::make_shared<ListArguments>();
  CLI::App* verb = app.add_subcommand("list", "Lists the primitives that this CPU can run.");
  request->context.add_to(*verb);
  verb->add_option("--op", request->op,
                   "Operation: conv, convert, max_pool, add, ..., or all. Default: conv.")
      ->type_name(kOperationType);
  verb->add_flag("--json", request->json, "Prints one JSON document.");
  verb->callback([&action, request] { action = [request] { return list_action(*request); }; });
}

}  // namespace convopt::cli
