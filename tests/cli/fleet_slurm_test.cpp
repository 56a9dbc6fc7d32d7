// A fleet on real Slurm: munged, slurmctld and four slurmd of Debian's slurm-wlm, as virtual nodes
// on the loopback, in a folder of their own. Two of the nodes are of an older kind. Tasks are
// killed, requeued, lose their node and run into a full disk; nothing may be lost, nothing stand
// twice. Says so and passes where Slurm is not installed or does not start.
#include <netinet/in.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <cstdio>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "tests/cli/command_line.h"
#include "tests/cli/fleet_folder.h"

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A daemon that ends with this test, however that ends.
class Daemon {
 public:
  Daemon(const std::string& command, const std::string& log) {
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    setpgid(0, 0);
    execl("/bin/sh", "sh", "-c", ("exec " + command + " >>" + log + " 2>&1").c_str(), nullptr);
    _exit(127);
  }
  ~Daemon() {
    if (pid_ <= 0) return;
    kill(pid_, SIGTERM);
    for (int i = 0; i < 250; ++i) {
      if (waitpid(pid_, nullptr, WNOHANG) == pid_) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

 private:
  pid_t pid_ = -1;
};

/// What a command of the shell prints; its error output, too.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return text;
  char block[4096];
  for (std::size_t count = 0; (count = fread(block, 1, sizeof block, pipe)) > 0;)
    text.append(block, count);
  pclose(pipe);
  return text;
}

/// The first of so many ports in a row that nobody listens on.
int free_ports(int count) {
  std::mt19937 random(std::random_device{}());
  for (int trial = 0; trial < 100; ++trial) {
    const int first = 20000 + static_cast<int>(random() % 12000);
    bool is_free = true;
    for (int i = 0; i < count && is_free; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_ANY);
      address.sin_port = htons(static_cast<std::uint16_t>(first + i));
      is_free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
      close(fd);
    }
    if (is_free) return first;
  }
  return 0;
}

class SlurmFleet : public testing::Test {
 protected:
  static constexpr int kNodes = 4;

  void SetUp() override {
    if (!has_older_kind()) GTEST_SKIP() << "this processor has no lower level than its own";
    // Where Debian has daemons, which are not in every PATH.
    setenv("PATH", (std::string(std::getenv("PATH")) + ":/usr/sbin:/sbin").c_str(), 1);
    for (const char* program : {"munged", "slurmctld", "slurmd", "sbatch"}) {
      if (std::system(("command -v " + std::string(program) + " >/dev/null").c_str()) != 0)
        GTEST_SKIP() << program << " is not installed (Debian's packages slurm-wlm and munge)";
    }
    fs::permissions(shell_.file(""), static_cast<fs::perms>(0755));
    if (!start_munge()) GTEST_SKIP() << "munged does not start: " << shell_.read("munged.log");
    write_configuration();
    daemons_.push_back(std::make_unique<Daemon>("slurmctld -D", shell_.file("slurmctld.out")));
    for (int i = 1; i <= kNodes; ++i)
      daemons_.push_back(std::make_unique<Daemon>("slurmd -D -N n" + std::to_string(i),
                                                  shell_.file("slurmd.out")));
    bool is_up = false;
    for (int i = 0; i < 150 && !is_up; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      is_up = output_of("sinfo -h -N -t idle -o %N") == "n1\nn2\nn3\nn4\n";
    }
    if (!is_up) {
      GTEST_SKIP() << "Slurm does not start here: " << output_of("sinfo -N")
                   << shell_.read("slurmctld.out") << shell_.read("slurmd.out");
    }
  }

  void TearDown() override {
    if (daemons_.size() > 1) {
      std::system("scancel -t PENDING,RUNNING,SUSPENDED -u $(id -un) >/dev/null 2>&1");
      for (int i = 0; i < 250 && !output_of("squeue -h").empty(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
    }
    while (!daemons_.empty()) daemons_.pop_back();
  }

  bool start_munge() {
    std::string key(256, '\0');
    std::random_device entropy;
    for (char& byte : key) byte = static_cast<char>(entropy());
    shell_.write("munge.key", key);
    fs::permissions(shell_.file("munge.key"), static_cast<fs::perms>(0600));
    daemons_.push_back(std::make_unique<Daemon>(
        "munged --foreground --force --num-threads=2 --socket=" + shell_.file("munge.socket") +
            " --key-file=" + shell_.file("munge.key") + " --pid-file=" + shell_.file("munged.pid") +
            " --log-file=" + shell_.file("munged.log") + " --seed-file=" + shell_.file("seed"),
        shell_.file("munged.log")));
    for (int i = 0; i < 250 && !fs::exists(shell_.file("munge.socket")); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return fs::exists(shell_.file("munge.socket"));
  }

  void write_configuration() {
    const passwd* const user = getpwuid(geteuid());
    const std::string name = user != nullptr ? user->pw_name : "root";
    const std::string folder = shell_.file("");
    const int port = free_ports(kNodes + 2);
    std::string text =
        "ClusterName=convopt\nSlurmctldHost=localhost\nAuthType=auth/munge\n"
        "CredType=cred/munge\nProctrackType=proctrack/linuxproc\n"
        "TaskPlugin=task/none\nJobAcctGatherType=jobacct_gather/none\n"
        "AccountingStorageType=accounting_storage/none\nMpiDefault=none\n"
        "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n"
        "ReturnToService=2\nKillWait=3\nMinJobAge=30\nSlurmdTimeout=60\n"
        "SlurmdParameters=config_overrides\n"
        "SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1\n";
    // So long a task that is requeued waits: Slurm lets the credentials of its first start expire.
    text += "AuthInfo=socket=" + folder + "munge.socket,cred_expire=5\n";
    text += "SlurmUser=" + name + "\nSlurmdUser=" + name + "\n";
    text += "SlurmctldPort=" + std::to_string(port) + "\n";
    text += "StateSaveLocation=" + folder + "state\nSlurmdSpoolDir=" + folder + "spool-%n\n";
    text += "SlurmctldPidFile=" + folder + "slurmctld.pid\nSlurmdPidFile=" + folder + "%n.pid\n";
    text += "TaskProlog=" + folder + "prolog.sh\n";
    text +=
        "NodeName=n[1-4] NodeHostname=localhost NodeAddr=127.0.0.1 CPUs=1 RealMemory=1000 "
        "Port=[" +
        std::to_string(port + 1) + "-" + std::to_string(port + kNodes) + "]\n";
    text += "PartitionName=test Nodes=n[1-4] Default=YES State=UP MaxTime=60\n";
    shell_.write("slurm.conf", text);
    fs::create_directories(shell_.file("state"));
    // The environment of a node of an older kind.
    shell_.write(
        "prolog.sh",
        "#!/bin/sh\ncase $SLURMD_NODENAME in n3|n4) echo export CONVOPT_ISA=sse4;; esac\n");
    fs::permissions(shell_.file("prolog.sh"), static_cast<fs::perms>(0755));
    setenv("SLURM_CONF", shell_.file("slurm.conf").c_str(), 1);
  }

  /// Job and node of a task as the queue has them: "12_3 n2".
  static std::string queued(const std::string& kind, int shard) {
    const std::string lines = output_of("squeue -h -r -o '%k|%K|%i %N'");
    const std::string begin = "task " + kind + "|" + std::to_string(shard) + "|";
    const auto at = lines.find(begin);
    if (at == std::string::npos) return "";
    const auto from = at + begin.size();
    return lines.substr(from, lines.find('\n', from) - from);
  }

  std::string folder_word() const { return "'" + folder_.path().string() + "'"; }
  json status() const {
    EXPECT_EQ(shell_.run("fleet status " + folder_word() + " --json"), 0) << shell_.err();
    return shell_.out_json();
  }
  /// A task that is held while it measures, so that something can happen to it.
  struct Victim {
    std::string kind;
    int shard = 0;
    pid_t process = 0;
  };
  /// Holds it if it has begun.
  void try_to_hold(Victim& victim) const {
    if (victim.kind.empty() || victim.process > 0 || !folder_.has_begun(victim.kind, victim.shard))
      return;
    victim.process = folder_.process_of(victim.kind, victim.shard);
    if (victim.process > 0) kill(victim.process, SIGSTOP);
  }

  const CommandLine shell_{"fleet-slurm"};
  const FleetFolder folder_{fs::path(shell_.file("a fleet"))};
  std::vector<std::unique_ptr<Daemon>> daemons_;
};

TEST_F(SlurmFleet, NothingIsLostAndNothingTwice) {
  shell_.write("tiny.json", kTinyNetwork);
  // The disk of one task is full, once: its profile has room for some fifty measurements behind the
  // header, which is as long as that of its neighbour.
  shell_.write("program.sh", "#!/bin/sh\nmark=" + shell_.file("was-full") +
                                 R"(
case "$4 $5 $6" in
  'measure '*-sse4-*' 2')
    if [ ! -e "$mark" ]; then
      touch "$mark"
      size=0
      while [ "$size" -lt 1000 ]; do
        sleep 0.1
        size=$(cat "$3/tasks/$5/1/"*.jsonl 2>/dev/null | head -n 1 | wc -c)
      done
      ulimit -f $(((size + 20000) / 512))
    fi ;;
esac
exec )" CONVOPT_BINARY " \"$@\"\n");
  fs::permissions(shell_.file("program.sh"), static_cast<fs::perms>(0755));
  ASSERT_EQ(
      shell_.run("fleet plan " + shell_.file("tiny.json") + " -d " + folder_word() +
                 " --threads 1 --configs 4 --shards 3 --program " + shell_.file("program.sh")),
      0)
      << shell_.err();
  std::printf("submitted: %s", shell_.out().substr(0, shell_.out().find('\n') + 1).c_str());

  // The shell that planned the fleet is gone; a job submits the tasks.
  std::string fast, old;
  Victim killed{"", 1}, requeued{"", 2}, stranded{"", 1};
  ASSERT_TRUE(wait_until([&] {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "tasks", error)) {
      const std::string kind = entry.path().filename();
      (kind.find("-sse4-") == std::string::npos ? fast : old) = kind;
    }
    killed.kind = requeued.kind = fast;
    stranded.kind = old;
    bool all = true;
    for (Victim* victim : {&killed, &requeued, &stranded}) {
      try_to_hold(*victim);
      all = all && victim->process > 0;
    }
    return all;
  })) << output_of("squeue")
      << output_of("cat " + folder_word() + "/logs/*");
  for (const Victim& victim : {killed, requeued, stranded})
    ASSERT_FALSE(folder_.is_done(victim.kind, victim.shard)) << "it was over before it was held";
  std::printf("kinds: %s, %s\n", fast.c_str(), old.c_str());

  // To go on by hand as well submits nothing that is in the queue.
  EXPECT_EQ(shell_.run("fleet plan -d " + folder_word()), 0) << shell_.err();
  EXPECT_EQ(output_of("squeue -h -r -o '%k %K' | grep '^task' | sort | uniq -d"), "");

  kill(killed.process, SIGKILL);
  std::printf("killed: task 1 of %s\n", fast.c_str());

  const std::string job = queued(fast, 2);
  EXPECT_EQ(output_of("scontrol requeue " + job.substr(0, job.find(' '))), "");
  kill(requeued.process, SIGCONT);
  std::printf("requeued: task 2 of %s, job %s\n", fast.c_str(), job.c_str());

  const std::string place = queued(old, 1);
  const std::string node = place.substr(place.find(' ') + 1);
  EXPECT_EQ(output_of("scontrol update nodename=" + node + " state=down reason=test"), "");
  ASSERT_TRUE(wait_until([&] {
    return output_of("squeue -h -r -t RUNNING -o %i")
               .find(place.substr(0, place.find(' ')) + "\n") == std::string::npos;
  }));
  // What ran there may go on, as on a node that only could not be reached for a while.
  kill(stranded.process, SIGCONT);
  // Refused while the job that ran there is being cleared away, or where the node came back itself.
  ASSERT_TRUE(wait_until([&] {
    output_of("scontrol update nodename=" + node + " state=resume");
    return output_of("sinfo -h -n " + node + " -o %T").find("down") == std::string::npos;
  }));
  std::printf("set down and back: %s with task 1 of %s\n", node.c_str(), old.c_str());

  // To collect meanwhile harms nothing.
  EXPECT_EQ(shell_.run("fleet collect " + folder_word() + " -o " + shell_.file("early")), 5)
      << shell_.err();
  // What was killed, and what had no room, is submitted again by the job that was to plan.
  ASSERT_TRUE(wait_until([&] { return status()["complete"].get<bool>(); }))
      << status().dump(1) << output_of("squeue") << output_of("cat " + folder_word() + "/logs/*");
  EXPECT_EQ(shell_.run("fleet plan --wait -d " + folder_word()), 0) << shell_.err();
  EXPECT_NE(shell_.out().find("and 0 tasks are submitted"), std::string::npos) << shell_.out();
  const json state = status();
  EXPECT_TRUE(state["complete"]) << state.dump(1);
  EXPECT_TRUE(fs::exists(shell_.file("was-full")));
  // The copy that was left behind on its node.
  ASSERT_TRUE(wait_until([&] { return folder_.process_of(old, 1) == 0; }));

  // Two at once, into one folder.
  const pid_t other = fork();
  if (other == 0) {
    const std::string command =
        "exec " CONVOPT_BINARY " fleet collect " + folder_word() + " -o " + shell_.file("results");
    execl("/bin/sh", "sh", "-c", (command + " >/dev/null 2>&1").c_str(), nullptr);
    _exit(127);
  }
  EXPECT_EQ(shell_.run("fleet collect " + folder_word() + " -o " + shell_.file("results")), 0)
      << shell_.err();
  EXPECT_EQ(CommandLine::wait(other), 0);
  std::printf("collected, twice at once: %s", shell_.out().c_str());

  std::size_t lost = 0, twice = 0, resumed = 0, failed = 0;
  for (const json& kind : state["kinds"]) {
    const std::string name = kind["kind"];
    EXPECT_EQ(kind["done"], 3);
    EXPECT_EQ(kind["nodes"].size(), 2U);
    for (const json& task : kind["tasks"]) resumed += task["attempts"] > 1;
    for (const auto& file : FleetFolder::files(folder_.path() / "tasks" / name, ".json"))
      failed += json::parse(std::ifstream(file), nullptr, false)["state"] == "failed";
    const std::string plain = shell_.file("plain.jsonl");
    ASSERT_EQ(shell_.run("merge " + shell_.file("results/" + name + ".profile.jsonl.gz") + " -o " +
                         plain),
              0)
        << shell_.err();
    const auto kept = FleetFolder::measurements(plain);
    for (const auto& [key, count] : kept) twice += count > 1;
    for (const auto& [key, count] : folder_.all_measurements(name))
      lost += kept.contains(key) ? 0 : 1;
    // What one process alone would still have to measure.
    ASSERT_EQ(
        shell_.run("profile --dry-run --threads 1 --configs 4 --network " +
                   shell_.file("tiny.json") + (name == old ? " --isa sse4 -o " : " -o ") + plain),
        0)
        << shell_.err();
    EXPECT_EQ(shell_.out().substr(0, 12), "0 workloads,") << name << ": " << shell_.out();
    lost += shell_.out().substr(0, 12) == "0 workloads," ? 0 : 1;
    std::printf("%s: %zu measurements\n", name.c_str(), kept.size());
  }
  EXPECT_GE(resumed, 4U) << "killed, requeued, stranded, without room";
  EXPECT_GE(failed, 1U) << "the one without room says so";
  EXPECT_EQ(lost, 0U);
  EXPECT_EQ(twice, 0U);
  const std::string again = output_of("grep -h 'submitted again' " + folder_word() + "/logs/*");
  EXPECT_NE(again, "") << "the killed task was";
  std::printf("%s", again.c_str());
  std::printf("tasks with more than one attempt: %zu; lost: %zu, double: %zu\n", resumed, lost,
              twice);
  ASSERT_EQ(
      shell_.run("run " + shell_.file("results/tiny.convopt") + " --repeat 1 --verify --threads 1"),
      0)
      << shell_.err();
}

}  // namespace
