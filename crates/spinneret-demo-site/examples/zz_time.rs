fn main(){ for _ in 0..1 { let t=std::time::Instant::now(); let s=spinneret_demo_site::DemoSite::build(); println!("{:?} {}",t.elapsed(), s.expected().images.len()); } }
