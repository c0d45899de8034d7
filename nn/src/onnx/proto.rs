//! Graphs as files: the part of `onnx.proto` that they need, with its numbers, and the way there.
//!
//! The schema is of protobuf's second version, where a field that is 0 is still there. Hence `optional` where
//! a reader asks whether a field is.

use std::io::Write;
use std::path::Path;

use plies_tensor::{DType, Element, Tensor, replace_file};
use prost::Message;

use super::graph::{Attribute, Constant, Dim, Graph, Node, Port};
use super::{Error, Result, element_type};

/// The version of the file format: that of ONNX 1.16.
const IR_VERSION: i64 = 10;
/// The version of the operators.
const OPSET: i64 = 21;
/// ONNX's number for integers of 64 bits.
const INT64: i32 = 7;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(string, tag = "2")]
    producer_name: String,
    #[prost(string, tag = "3")]
    producer_version: String,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSetIdProto>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSetIdProto {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, optional, tag = "2")]
    f: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    i: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    s: Option<Vec<u8>>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    strings: Vec<Vec<u8>>,
    #[prost(int32, tag = "20")]
    r#type: i32,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    raw_data: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    r#type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorTypeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorTypeProto {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShapeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorShapeProto {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<DimensionProto>,
}

/// One of the two.
#[derive(Clone, PartialEq, Message)]
struct DimensionProto {
    #[prost(int64, optional, tag = "1")]
    dim_value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    dim_param: Option<String>,
}

impl Graph {
    /// The file as bytes.
    ///
    /// # Errors
    /// A model of 2 GiB and more; a fault of a device.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let model = self.to_proto()?;
        let bytes = model.encoded_len();
        if i32::try_from(bytes).is_err() {
            return Err(Error::Size { bytes });
        }
        Ok(model.encode_to_vec())
    }

    /// Writes the file: what is found under `path` is all of the old file or all of the new one, as
    /// [`replace_file`] promises.
    ///
    /// # Errors
    /// As [`to_bytes`](Graph::to_bytes), or what the operating system says.
    pub fn save(&self, path: &Path) -> Result<()> {
        let bytes = self.to_bytes()?;
        replace_file(path, |file| file.write_all(&bytes))
            .map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    fn to_proto(&self) -> Result<ModelProto> {
        let parts = self.0.borrow();
        let (nodes, names) = parts.needed();
        let constants = parts.constants.iter().filter(|(name, _)| names.contains(&**name));
        let constants = constants.map(|(name, constant)| initializer(name, constant));
        let graph = GraphProto {
            node: nodes.into_iter().map(node).collect(),
            name: "plies".to_owned(),
            initializer: constants.collect::<Result<_>>()?,
            input: parts.inputs.iter().map(value_info).collect(),
            output: parts.outputs.iter().map(value_info).collect(),
        };
        Ok(ModelProto {
            ir_version: IR_VERSION,
            producer_name: "plies".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        })
    }
}

fn node(node: &Node) -> NodeProto {
    NodeProto {
        input: node.inputs.clone(),
        output: node.outputs.clone(),
        name: node.outputs.first().cloned().unwrap_or_default(),
        op_type: node.op.to_owned(),
        attribute: node.attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
    }
}

fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let named = AttributeProto { name: name.to_owned(), ..AttributeProto::default() };
    match value {
        Attribute::Float(f) => AttributeProto { f: Some(*f), r#type: 1, ..named },
        Attribute::Int(i) => AttributeProto { i: Some(*i), r#type: 2, ..named },
        Attribute::Text(s) => {
            AttributeProto { s: Some(s.clone().into_bytes()), r#type: 3, ..named }
        }
        Attribute::Ints(ints) => AttributeProto { ints: ints.clone(), r#type: 7, ..named },
        Attribute::Texts(texts) => {
            let strings = texts.iter().map(|s| s.clone().into_bytes()).collect();
            AttributeProto { strings, r#type: 8, ..named }
        }
    }
}

fn initializer(name: &str, constant: &Constant) -> Result<TensorProto> {
    fn raw<T: Element, const N: usize>(
        tensor: &Tensor,
        to_bytes: impl Fn(T) -> [u8; N],
    ) -> Result<Vec<u8>> {
        Ok(tensor.to_vec::<T>()?.into_iter().flat_map(to_bytes).collect())
    }
    let size = |n: &usize| i64::try_from(*n).unwrap_or(i64::MAX);
    let (dims, data_type, bytes) = match constant {
        Constant::Ints(ints) => {
            let bytes = ints.iter().flat_map(|i| i.to_le_bytes()).collect();
            (vec![size(&ints.len())], INT64, bytes)
        }
        Constant::Tensor(tensor) => {
            let bytes = match tensor.dtype() {
                DType::F32 => raw(tensor, f32::to_le_bytes)?,
                DType::F64 => raw(tensor, f64::to_le_bytes)?,
                DType::I32 => raw(tensor, i32::to_le_bytes)?,
            };
            (tensor.dims().iter().map(size).collect(), element_type(tensor.dtype()), bytes)
        }
    };
    Ok(TensorProto { dims, data_type, name: name.to_owned(), raw_data: Some(bytes) })
}

fn value_info(port: &Port) -> ValueInfoProto {
    let dim = |dim: &Dim| match dim {
        Dim::Fixed(n) => DimensionProto { dim_value: i64::try_from(*n).ok(), dim_param: None },
        Dim::Named(name) => DimensionProto { dim_value: None, dim_param: Some(name.clone()) },
    };
    let shape = Some(TensorShapeProto { dim: port.dims.iter().map(dim).collect() });
    let tensor_type = Some(TensorTypeProto { elem_type: element_type(port.dtype), shape });
    ValueInfoProto { name: port.name.clone(), r#type: Some(TypeProto { tensor_type }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::Export;
    use crate::{Activation, BatchNorm, Conv2d, Flatten, Linear, Lstm, MaxPool2d, Sequential};
    use plies_tensor::{Conv, Device, Pool, Rng};

    fn decoded(graph: &Graph) -> (ModelProto, GraphProto) {
        let model = ModelProto::decode(&graph.to_bytes().unwrap()[..]).unwrap();
        let graph = model.graph.clone().unwrap();
        (model, graph)
    }

    #[test]
    fn a_network_of_images_is_what_its_layers_are() {
        let mut rng = Rng::new(1);
        let model = Sequential::new()
            .push(Conv2d::new(1, 2, [3, 2], Conv::default().padding([1, 0]), &mut rng))
            .push(BatchNorm::new(2).eps(0.5))
            .push(Activation::LeakyRelu)
            .push(MaxPool2d(Pool::new(2)))
            .push(Flatten::default())
            .push(Linear::new(12, 3, &mut rng));
        let x = Tensor::zeros([2, 1, 4, 7], DType::F32, &Device::cpu());
        let (file, graph) = decoded(&Export::default().of(&model, &x).unwrap());
        assert_eq!((file.ir_version, file.opset_import[0].version), (IR_VERSION, OPSET));
        let ops: Vec<&str> = graph.node.iter().map(|node| &*node.op_type).collect();
        let [conv, norm] = ["Conv", "BatchNormalization"];
        let rest = ["LeakyRelu", "MaxPool", "Flatten", "Transpose", "MatMul", "Add"];
        assert_eq!(ops, [&[conv, norm][..], &rest].concat());
        let attribute = |node: usize, name: &str| {
            graph.node[node].attribute.iter().find(|a| a.name == name).cloned().unwrap()
        };
        assert_eq!(attribute(0, "pads").ints, [1, 0, 1, 0]);
        assert_eq!(attribute(0, "group").i, Some(1));
        assert_eq!((attribute(1, "epsilon").f, attribute(1, "epsilon").r#type), (Some(0.5), 1));
        assert_eq!(attribute(4, "axis").i, Some(1));
        let weight = graph.initializer.iter().find(|tensor| tensor.name == "5.weight").unwrap();
        assert_eq!((&weight.dims[..], weight.data_type), (&[3, 12][..], 1));
        assert_eq!(weight.raw_data.as_ref().unwrap().len(), 3 * 12 * 4);
        let dims = |port: &ValueInfoProto| {
            let tensor = port.r#type.clone().unwrap().tensor_type.unwrap();
            let dims = tensor.shape.unwrap().dim.into_iter();
            dims.map(|d| d.dim_param.unwrap_or_else(|| d.dim_value.unwrap().to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (&*graph.input[0].name, dims(&graph.input[0]).join(" ")),
            ("x", "batch 1 4 7".into())
        );
        assert_eq!(
            (&*graph.output[0].name, dims(&graph.output[0]).join(" ")),
            ("y", "batch 3".into())
        );
    }

    /// Every name that is read is written before, once.
    #[test]
    fn a_recurrent_layer_reads_lengths_and_no_input_that_is_not_there() {
        let lstm = Lstm::new(2, 3, &mut Rng::new(1));
        let x = Tensor::zeros([2, 4, 2], DType::F32, &Device::cpu());
        let export = Export { axes: &[(0, "batch"), (1, "time")], lengths: true };
        let (_, graph) = decoded(&export.of(&lstm, &x).unwrap());
        let node = graph.node.iter().find(|node| node.op_type == "LSTM").unwrap();
        assert_eq!(node.input[1..], ["W_l0", "R_l0", "B_l0", "lengths"]);
        assert_eq!((graph.input.len(), node.output.len()), (2, 3));
        let inputs = graph.input.iter().map(|port| port.name.clone());
        let mut known: Vec<String> =
            inputs.chain(graph.initializer.iter().map(|tensor| tensor.name.clone())).collect();
        for node in &graph.node {
            assert!(node.input.iter().all(|name| known.contains(name)), "{node:?}");
            assert!(node.output.iter().all(|name| !known.contains(name)), "{node:?}");
            known.extend(node.output.clone());
        }
        assert!(known.contains(&"y".to_owned()));
    }

    #[test]
    fn a_file_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        let x = Tensor::zeros([1, 2], DType::F64, &Device::cpu());
        let graph = Export::default().of(&Activation::Tanh, &x).unwrap();
        graph.save(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), graph.to_bytes().unwrap());
        let error = graph.save(&path.join("below")).unwrap_err().to_string();
        assert!(error.contains("below: "), "{error}");
    }
}
