"""The mutation tool itself: which mutants it makes, that it notices survivors, and that it leaves the file as it was."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parent.parent / "mutate.py"
KERNEL = """\
template <int n>
__global__ void k(const float* x, float* y, int count, int* total) {
  __shared__ float tile[64];
  // a comment: __syncthreads() and i < count are not code here
  tile[threadIdx.x] = 0.0f;
  __syncthreads();
  const int i = blockIdx.x * 64 + threadIdx.x;
  if (i < count) y[i] = x[i];
  atomicAdd(total, 1);
  __syncwarp(0xffffffffu);
  cudaStreamWaitEvent(stream, event, 0);
}
"""


class MutateTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.kernel = pathlib.Path(self.folder.name) / "k.cu"
        self.kernel.write_text(KERNEL)

    def tearDown(self):
        self.folder.cleanup()

    def run_tool(self, *args, test="true", build="true"):
        command = [sys.executable, TOOL, "--stage", "plain", build, test, *args, self.kernel]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(self.kernel.read_text(), KERNEL)  # restored
        return done

    def test_makes_every_kind_that_the_source_offers(self):
        listed = self.run_tool("--list").stdout.split("\n")
        found = sorted(":".join(line.split(":")[-2:]) for line in listed if line)
        self.assertEqual(found, sorted([
            "5:float-literal", "5:skip-zeroing", "5:thread-for-block", "6:drop-barrier", "7:block-for-thread", "7:thread-for-block",
            "8:drop-bounds-check", "8:less-or-equal", "9:atomic-to-plain", "10:drop-syncwarp", "10:narrow-mask",
            "11:drop-stream-wait"]))

    def test_kills_what_a_test_notices_and_lists_the_rest(self):
        done = self.run_tool("--only", "drop-barrier", "--only", "less-or-equal", test=f"grep -q '^  __sync' {self.kernel}")
        # The barrier's line is one of two that the pattern finds, so nothing is noticed.
        self.assertEqual(done.stdout.count("SURVIVED"), 2)
        self.assertEqual(done.returncode, 1)
        done = self.run_tool("--only", "drop-barrier", test=f"grep -q '^  __syncthreads' {self.kernel}")
        self.assertIn("| all | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 100.0 % |", done.stdout)
        self.assertEqual(done.returncode, 0)

    def test_explained_survivors_do_not_count(self):
        reasons = pathlib.Path(self.folder.name) / "explained"
        reasons.write_text(f"{self.kernel}: drop-barrier: ((void)0);  ## one warp\n")
        done = self.run_tool("--only", "drop-barrier", "--explained", str(reasons))
        self.assertIn("| all | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 100.0 % |", done.stdout)
        self.assertEqual(done.returncode, 0)

    def test_an_explanation_holds_for_its_line_alone(self):
        reasons = pathlib.Path(self.folder.name) / "explained"
        reasons.write_text(f"{self.kernel}: drop-barrier: somewhere();  ## one warp\n{self.kernel}: drop-barrier: ((void)0);\n")
        self.assertIn("SURVIVED", self.run_tool("--only", "drop-barrier", "--explained", str(reasons)).stdout)

    def test_a_sample_does_not_move_when_lines_do(self):
        def listed(*args):
            command = [sys.executable, TOOL, "--stage", "plain", "true", "true", "--list", *args, self.kernel]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            return [line.split(":")[-2:] for line in done.stdout.splitlines()]

        everything, sample = listed(), listed("--sample", "3")
        self.assertLess(len(sample), len(everything))
        self.kernel.write_text("// a line before\n" + KERNEL)
        self.assertEqual(listed("--sample", "3"), [[str(int(number) + 1), name] for number, name in sample])

    def test_refuses_tests_that_fail_anyway(self):
        self.assertNotEqual(self.run_tool(test="false").returncode, 0)

    def test_what_does_not_compile_is_no_kill(self):
        done = self.run_tool("--only", "drop-barrier", build=f"grep -q '^  __syncthreads' {self.kernel}", test="true")
        self.assertIn("| all | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 100.0 % |", done.stdout)

    def test_a_test_that_hangs_kills_and_a_build_that_hangs_ends_the_run(self):
        hang = f"grep -q '^  __syncthreads' {self.kernel} || sleep 60"
        done = self.run_tool("--only", "drop-barrier", "--timeout", "1", test=hang)
        self.assertIn("| all | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 100.0 % |", done.stdout)
        done = self.run_tool("--only", "drop-barrier", "--timeout", "30", test=hang.replace("sleep 60", "while :; do :; done"))
        self.assertIn("| all | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 100.0 % |", done.stdout)
        done = self.run_tool("--only", "drop-barrier", "--timeout", "0.1", build=hang)
        self.assertIn("takes too long", done.stderr)
        self.assertNotEqual(done.returncode, 0)

    def test_a_later_stage_is_built_for_survivors_only(self):
        folder = pathlib.Path(self.folder.name)
        second = ["--stage", "second", f"echo >>{folder}/built", f"grep -q 'x <= y' {self.kernel} && false || true"]
        done = self.run_tool("--only", "drop-barrier", *second, test=f"grep -q '^  __syncthreads' {self.kernel}")
        self.assertEqual((folder / "built").read_text().count("\n"), 2)  # the check before and the build left behind
        done = self.run_tool("--only", "less-or-equal", *second)
        self.assertEqual((folder / "built").read_text().count("\n"), 5)
        self.assertIn("1 | 0 | 0 | 0 | 0 | 0 | 1", done.stdout)

    def test_results_are_remembered_until_the_file_changes(self):
        state = pathlib.Path(self.folder.name) / "state"
        count = pathlib.Path(self.folder.name) / "count"
        run = ["--state", str(state)]
        self.run_tool(*run, "--share", "1/2", test=f"echo >>{count}")
        first = state.read_text().count("\n")
        done = self.run_tool(*run, "--report")
        self.assertEqual(done.returncode, 1)  # not all were tried
        self.assertIn(f"| {12 - first} | 0.0 % |", done.stdout)
        self.run_tool(*run, "--share", "2/2")
        self.assertEqual(state.read_text().count("\n"), 12)
        done = self.run_tool(*run, test=f"echo >>{count}")
        self.assertEqual(count.read_text().count("\n"), first + 1)  # the check before, once; nothing again
        self.assertIn("| all | 12 | 0 | 0 | 0 | 0 | 12 | 0 | 0.0 % |", done.stdout)
        self.run_tool(*run, "--retry", "--only", "drop-barrier", test=f"grep -q '^  __syncthreads' {self.kernel}")
        self.assertIn("| all | 12 | 0 | 1 | 0 | 0 | 11 | 0 | 8.3 % |", self.run_tool(*run, "--report").stdout)
        before = self.kernel.read_text()
        self.kernel.write_text("// edited\n" + before)
        command = [sys.executable, TOOL, "--stage", "plain", "true", "true", *run, "--report", self.kernel]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertIn("| all | 12 | 0 | 0 | 0 | 0 | 0 | 12 | - |", done.stdout)


if __name__ == "__main__":
    unittest.main()
