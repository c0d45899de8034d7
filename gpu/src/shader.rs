//! Shader text. A kernel's text is its `.wgsl` file with some words replaced, and formulas printed in
//! their places.
//!
//! A kernel is given numbers (sizes, strides, scalars) in one array. Text and numbers are made by two
//! functions beside each other that go through the same things in the same order: one takes the
//! [`Slots`], the other pushes the [`Numbers`].

use std::fmt::Write;

use plies_tensor::{Binary, DType, Formula, Node, Reduce, Unary};

use crate::kernels::THREADS;
use crate::pipeline::Access;

/// The places of a kernel's numbers, in order.
#[derive(Default)]
pub(crate) struct Slots(usize);

impl Slots {
    /// The next number, as an expression of type u32,
    pub(crate) fn u32(&mut self) -> String {
        let at = self.0;
        self.0 += 1;
        format!("parameters[{}][{}]", at / 4, at % 4)
    }

    /// as i32,
    pub(crate) fn i32(&mut self) -> String {
        format!("bitcast<i32>({})", self.u32())
    }

    /// as a value of the kernel's element type.
    pub(crate) fn value(&mut self, dtype: DType) -> String {
        match dtype {
            DType::I32 => format!("T({})", self.i32()),
            _ => format!("T(bitcast<f32>({}))", self.u32()),
        }
    }
}

/// A kernel's numbers.
#[derive(Default)]
pub(crate) struct Numbers(pub(crate) Vec<u32>);

impl Numbers {
    pub(crate) fn size(&mut self, n: usize) {
        self.0.push(n as u32);
    }

    pub(crate) fn step(&mut self, n: isize) {
        self.0.push(n as i32 as u32);
    }

    pub(crate) fn value(&mut self, value: f64, dtype: DType) {
        self.0.push(match dtype {
            DType::I32 => value as i32 as u32,
            _ => (value as f32).to_bits(),
        });
    }

    /// A formula's scalars, and those of its constants that cannot be written in the text.
    pub(crate) fn scalars(&mut self, formula: &Formula, scalars: &[f64], dtype: DType) {
        scalars.iter().for_each(|&scalar| self.value(scalar, dtype));
        unwritable(formula, dtype).for_each(|value| self.value(value, dtype));
    }
}

/// Constants that the language has no literal for.
fn unwritable(formula: &Formula, dtype: DType) -> impl Iterator<Item = f64> {
    formula.nodes().iter().filter_map(move |node| match *node {
        Node::Const(bits) if !is_writable(f64::from_bits(bits), dtype) => {
            Some(f64::from_bits(bits))
        }
        _ => None,
    })
}

fn is_writable(value: f64, dtype: DType) -> bool {
    let value = value as f32;
    dtype == DType::I32 || value == 0.0 || value.is_normal()
}

/// The head of every kernel: its buffers and the types of its elements. `T` is the type of elements,
/// one or `width` of them.
pub(crate) fn head(dtype: DType, width: usize, buffers: &[(Access, DType, usize)]) -> String {
    let mut text =
        String::from("@group(0) @binding(0) var<uniform> parameters: array<vec4<u32>, 128>;\n");
    for (i, (access, dtype, width)) in buffers.iter().enumerate() {
        let access = match access {
            Access::Read => "read",
            Access::Write => "read_write",
        };
        let element = vector(scalar(*dtype), *width);
        let at = i + 1;
        writeln!(text, "@group(0) @binding({at}) var<storage, {access}> b{i}: array<{element}>;")
            .ok();
    }
    for (name, of) in [("F", "f32"), ("I", "i32"), ("U", "u32"), ("Bools", "bool")] {
        writeln!(text, "alias {name} = {};", vector(of, width)).ok();
    }
    writeln!(text, "alias T = {};", if dtype == DType::I32 { "I" } else { "F" }).ok();
    text
}

/// The whole text of a kernel that has a thread for each of `count` elements: `text` is what
/// `fn element(i: u32)` does with one.
pub(crate) fn each(head: String, count: &str, text: &str) -> String {
    let number = format!("workgroup * {THREADS}u + thread");
    let call =
        format!("    let i = {number};\n    if i < {count} {{\n        element(i);\n    }}\n");
    head + text + &entry(THREADS as usize, &call)
}

/// The whole text of a kernel whose workgroups compute something together: `text` is what each thread of
/// them does in `fn together(workgroup: u32, thread: u32)`.
pub(crate) fn together(head: String, threads: usize, text: &str) -> String {
    head + text + &entry(threads, "    together(workgroup, thread);\n")
}

fn entry(threads: usize, call: &str) -> String {
    fill(include_str!("entry.wgsl"), &[("threads", &threads.to_string()), ("call", call)])
}

/// Joins what the lanes of a row hold, by halves: after the step of `half`, the first so many lanes hold what
/// they and those `half` further on held before. In the end the first lane has all, and where `everywhere`
/// is asked for, all of them. What stands in `variables` goes through the arrays of the workgroup beside
/// them, at the place `at`, or from thread to thread within a subgroup; the additions are the same ones.
pub(crate) struct Tree<'a> {
    pub(crate) variables: &'a [[&'a str; 2]],
    pub(crate) at: &'a str,
    /// Text that joins each variable `x` and `other_x` into `x`.
    pub(crate) join: &'a str,
    pub(crate) lanes: usize,
    /// Threads that can exchange values without shared memory: lanes are neighbours among them.
    pub(crate) subgroup: usize,
}

impl Tree<'_> {
    pub(crate) fn text(&self, everywhere: bool) -> String {
        let Tree { variables, at, join, lanes, subgroup } = *self;
        let put = |indent: &str| -> String {
            let line = |[x, shared]: &[&str; 2]| format!("{indent}{shared}[{at}] = {x};\n");
            variables.iter().map(line).collect()
        };
        let others = |from: &dyn Fn(&[&str; 2]) -> String| -> String {
            let line = |v: &[&str; 2]| format!("        let other_{} = {};\n", v[0], from(v));
            variables.iter().map(line).collect()
        };
        let barrier = "    workgroupBarrier();\n";
        let mut text = String::new();
        let mut half = lanes / 2;
        if half >= subgroup {
            text += &(put("    ") + barrier);
        }
        while half >= subgroup.max(1) {
            let others = others(&|[_, shared]| format!("{shared}[{at} + {half}u]"));
            let put = put("        ");
            text += &format!("    if lane < {half}u {{\n{others}        {join}\n{put}    }}\n");
            text += barrier;
            half /= 2;
        }
        while half > 0 {
            let others = others(&|[x, _]| format!("subgroupShuffleXor({x}, {half}u)"));
            text += &format!("    {{\n{others}        {join}\n    }}\n");
            half /= 2;
        }
        if everywhere && lanes > subgroup {
            text += &format!("    if lane == 0u {{\n{}    }}\n{barrier}", put("        "));
            for [x, shared] in variables {
                text += &format!("    {x} = {shared}[{at} - lane];\n");
            }
            text += barrier;
        }
        text
    }
}

/// WGSL's name of a dtype.
pub(crate) fn scalar(dtype: DType) -> &'static str {
    match dtype {
        DType::I32 => "i32",
        _ => "f32",
    }
}

fn vector(of: &str, width: usize) -> String {
    match width {
        1 => of.to_owned(),
        n => format!("vec{n}<{of}>"),
    }
}

/// The functions that formulas are written with, for one dtype.
pub(crate) fn functions(dtype: DType) -> &'static str {
    match dtype {
        DType::I32 => include_str!("math_integer.wgsl"),
        _ => include_str!("math.wgsl"),
    }
}

/// The value that joins with any other to that other.
pub(crate) fn identity(op: Reduce, dtype: DType) -> &'static str {
    match (op, dtype) {
        (Reduce::Sum, _) => "T(0)",
        (Reduce::Prod, _) => "T(1)",
        (Reduce::Max, DType::I32) => "T(-2147483648)",
        (Reduce::Min, DType::I32) => "T(2147483647)",
        (Reduce::Max, _) => "-infinity()",
        (Reduce::Min, _) => "infinity()",
    }
}

/// Two values joined.
pub(crate) fn join(op: Reduce, x: &str, y: &str) -> String {
    match op {
        Reduce::Sum => format!("{x} + {y}"),
        Reduce::Prod => format!("{x} * {y}"),
        Reduce::Max => format!("maximum({x}, {y})"),
        Reduce::Min => format!("minimum({x}, {y})"),
    }
}

/// A formula on its way to text: what its leaves are called.
pub(crate) struct Printed<'a> {
    formula: &'a Formula,
    dtype: DType,
    scalars: Vec<String>,
    unwritable: Vec<String>,
}

impl<'a> Printed<'a> {
    /// Takes the places of the formula's scalars.
    pub(crate) fn new(formula: &'a Formula, dtype: DType, slots: &mut Slots) -> Self {
        let scalars = (0..formula.n_scalars()).map(|_| slots.value(dtype)).collect();
        let unwritable = unwritable(formula, dtype).map(|_| slots.value(dtype)).collect();
        Printed { formula, dtype, scalars, unwritable }
    }

    /// A `let` for each of the nodes that are `wanted`, in order; `input` is what reads an input.
    /// Node i is called `v{i}`.
    pub(crate) fn nodes(
        &self,
        wanted: impl Fn(usize) -> bool,
        input: impl Fn(usize) -> String,
    ) -> String {
        let (mut text, mut n_unwritable) = (String::new(), 0);
        for (id, node) in self.formula.nodes().iter().enumerate() {
            let value = match *node {
                Node::Input(i) => input(i),
                Node::Scalar(i) => self.scalars[i].clone(),
                Node::Const(bits) => self.constant(f64::from_bits(bits), &mut n_unwritable),
                Node::Unary(op, x) => self.unary(op, x),
                Node::Binary(op, x, y) => self.binary(op, x, y),
                // What is no number is not 0.
                Node::Select(c, a, b) => format!("select(v{a}, v{b}, v{c} == T(0))"),
                Node::Reduce(..) => continue,
            };
            if wanted(id) {
                writeln!(text, "    let v{id} = {value};").ok();
            }
        }
        text
    }

    fn constant(&self, value: f64, n_unwritable: &mut usize) -> String {
        if self.dtype == DType::I32 {
            return format!("T({})", value as i32);
        }
        if is_writable(value, self.dtype) {
            return format!("T({:?}f)", value as f32);
        }
        *n_unwritable += 1;
        self.unwritable[*n_unwritable - 1].clone()
    }

    fn unary(&self, op: Unary, x: usize) -> String {
        match (op, self.dtype) {
            (Unary::Neg, _) => format!("-v{x}"),
            (Unary::Abs, _) => format!("abs(v{x})"),
            (Unary::Floor | Unary::Round, DType::I32) => format!("v{x}"),
            (Unary::Floor, _) => format!("floor(v{x})"),
            (Unary::Round, _) => format!("round(v{x})"),
            (Unary::Sqrt, _) => format!("square_root(v{x})"),
            (Unary::Exp, _) => format!("exponential(v{x})"),
            (Unary::ExpM1, _) => format!("exponential_m1(v{x})"),
            (Unary::Ln, _) => format!("logarithm(v{x})"),
            (Unary::Ln1p, _) => format!("logarithm_1p(v{x})"),
            (Unary::Sin, _) => format!("sine(v{x})"),
            (Unary::Cos, _) => format!("cosine(v{x})"),
            (Unary::Tanh, _) => format!("hyperbolic_tangent(v{x})"),
            (Unary::Sigmoid, _) => format!("logistic(v{x})"),
            (Unary::Erf, _) => format!("error_function(v{x})"),
        }
    }

    fn binary(&self, op: Binary, x: usize, y: usize) -> String {
        let truth = |comparison: &str| format!("select(T(0), T(1), v{x} {comparison} v{y})");
        match (op, self.dtype) {
            (Binary::Add, _) => format!("v{x} + v{y}"),
            (Binary::Sub, _) => format!("v{x} - v{y}"),
            (Binary::Mul, _) => format!("v{x} * v{y}"),
            (Binary::Div, DType::I32) => format!("quotient(v{x}, v{y})"),
            (Binary::Div, _) => format!("v{x} / v{y}"),
            (Binary::Pow, _) => format!("power(v{x}, v{y})"),
            (Binary::Min, _) => format!("minimum(v{x}, v{y})"),
            (Binary::Max, _) => format!("maximum(v{x}, v{y})"),
            (Binary::Lt, _) => truth("<"),
            (Binary::Le, _) => truth("<="),
            (Binary::Eq, _) => truth("=="),
        }
    }
}

/// A position of so many axes taken apart, innermost last: `let {name}0 …` of the expression
/// `{name}`. `dims` are the axes' sizes, the outermost of which is not needed.
pub(crate) fn coordinates(name: &str, dims: &[String]) -> String {
    let mut text = String::new();
    let rank = dims.len();
    let mut rest = name.to_owned();
    for axis in (1..rank).rev() {
        writeln!(text, "    let {name}{axis} = i32({rest} % {});", dims[axis]).ok();
        writeln!(text, "    let {name}_{axis} = {rest} / {};", dims[axis]).ok();
        rest = format!("{name}_{axis}");
    }
    if rank > 0 {
        writeln!(text, "    let {name}0 = i32({rest});").ok();
    }
    text
}

/// The sum of coordinates times strides.
pub(crate) fn place(name: &str, strides: &[String]) -> String {
    let term = |(axis, stride): (usize, &String)| format!("{name}{axis} * {stride}");
    let terms: Vec<String> = strides.iter().enumerate().map(term).collect();
    if terms.is_empty() { "0".into() } else { terms.join(" + ") }
}

/// The text with `{{name}}`s replaced.
pub(crate) fn fill(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{{{name}}}}}"), value)
    })
}
